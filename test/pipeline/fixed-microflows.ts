/**
 * Before each file of pipeline tests: microflows are not drawn (src/flow/microflow.ts), so that what is found at random is found again by its seed. Microflows that share a bit
 * (src/port/link.ts) wait for each other's late frames, one pair in 64: which ones is by the draw, and a frame that has waited leaves by what holds then.
 */
const draw = crypto.getRandomValues.bind(crypto)
Object.defineProperty(crypto, 'getRandomValues', {
  value: (numbers: Int32Array<ArrayBuffer>) => (numbers.length === 1 ? numbers.fill(0) : draw(numbers)),
})
