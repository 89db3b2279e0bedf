/** Workers must be real JavaScript files: from a source tree (tests) the compiled twin in dist is taken. */
import { existsSync } from 'node:fs'

/** URL of worker `name` (without extension) next to the module `base` (import.meta.url). Throws when it has not been built. */
export const workerFile = (base: string, name: string): URL => {
  const url = new URL(`./${name}.js`, base.replace(/\/src\/(?!.*\/src\/)/, '/dist/'))
  if (!existsSync(url)) throw new Error(`${url.pathname} is missing: run npm run build:ts`)
  return url
}
