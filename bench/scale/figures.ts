/** What is measured of one point: names, units. */

/** `nic`: offloaded exact flows, without tier 1; `switch`: with it; `table`: the rules of an eswitch's worker alone; `datapath`: masked flows of tier 2. */
export type Kind = 'nic' | 'switch' | 'table' | 'datapath'

/** Flows (and ten masks in the datapath) of the switch that each point is measured in turns with. */
export const REFERENCE = 1000

export const FIGURES = {
  uniform: { title: 'a frame, any flow', unit: 'ns', digits: 0 },
  zipf: { title: "a frame, Zipf's law", unit: 'ns', digits: 0 },
  few: { title: 'a frame, 4,096 of the flows', unit: 'ns', digits: 0 },
  uniformRatio: { title: 'any flow, by 1,000 flows', unit: 'times', digits: 2 },
  zipfRatio: { title: "Zipf's law, by 1,000 flows", unit: 'times', digits: 2 },
  fewRatio: { title: '4,096 of the flows, by 1,000', unit: 'times', digits: 2 },
  put: { title: 'put, all tiers', unit: 'flows/s', digits: 0 },
  putMain: { title: 'put, main thread', unit: 'flows/s', digits: 0 },
  del: { title: 'deleted, all tiers', unit: 'flows/s', digits: 0 },
  memory: { title: 'memory, all tiers', unit: 'B/flow', digits: 0 },
  tableEmpty: { title: "worker's table, empty", unit: 'MiB', digits: 1 },
  table: { title: "worker's table", unit: 'B/flow', digits: 0 },
  tablePut: { title: "worker's table, put", unit: 'flows/s', digits: 0 },
  slowest: { title: 'slowest put of it', unit: 'ms', digits: 0 },
  translated: { title: 'put, with tier 1', unit: 'flows/s', digits: 0 },
  memoryTranslated: { title: 'memory, with tier 1', unit: 'B/flow', digits: 0 },
  statistics: { title: 'statistics', unit: 'us/flow', digits: 2 },
  pass: { title: 'revalidation, nothing changed', unit: 'ms', digits: 0 },
  change: { title: 'revalidation, rules changed', unit: 'ms', digits: 0 },
  slice: { title: 'longest slice of it', unit: 'ms', digits: 1 },
} as const satisfies Record<string, { title: string; unit: string; digits: number }>

export type Figure = keyof typeof FIGURES
export const FIGURE_NAMES = Object.keys(FIGURES) as Figure[]
export type Figures = Partial<Record<Figure, number>>
