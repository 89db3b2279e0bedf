/**
 * Lets Node run the repository's TypeScript as it is: `node --import ./scripts/typescript.mjs FILE.ts`. For benches and tools; the product is compiled
 * by tsc. Types are stripped, not checked.
 */
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
