/**
 * Things of equal rank in the order of the kernel, in which the first that fits wins. News say where a newcomer stands; a dump lists all in
 * order, so that what it lists goes behind what it has listed before.
 */
export interface Ordered {
  /** Everything that tells it from another one. */
  readonly id: string
  /** The dump, or the time after it, in which it was last heard of. */
  epoch: number
}

/** Where a newcomer stands among its equals. */
export type Place = 'first' | 'last' | 'listed'

/** Inserts `entry` into `run`, sorted by `compare`. */
export const insert = <T extends Ordered>(run: T[], entry: T, place: Place, compare: (a: T, b: T) => number): void => {
  let from = 0
  while (from < run.length && compare(run[from]!, entry) < 0) from++
  let to = from
  while (to < run.length && compare(run[to]!, entry) === 0) to++
  if (place === 'last') from = to
  else if (place === 'listed') for (let i = from; i < to; i++) if (run[i]!.epoch === entry.epoch) from = i + 1
  run.splice(from, 0, entry)
}
