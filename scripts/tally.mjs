/** Adds up the tallies of scripts/test: lists the skips with their reasons, then prints the closing line. Exit 1 if anything failed. */
import { readFileSync } from 'node:fs'

const tallies = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')))
const sum = (key) => tallies.reduce((n, tally) => n + tally[key], 0)
const skips = tallies.flatMap((tally) => tally.skips)
for (const { name, reason } of skips) console.log(`skipped: ${name}: ${reason}`)
const failed = sum('failed')
console.log(`${sum('passed')} passed, ${failed} failed, ${skips.length} skipped`)
process.exitCode = failed > 0 ? 1 : 0
