import { CapturePort } from '../../src/port/capture.ts'
import type { Port } from '../../src/port/contract.ts'
import { FaultPort } from '../../src/port/fault.ts'
import { MemoryPort } from '../../src/port/memory.ts'
import { NO, portCompliance } from './port.ts'

const over = (
  name: string,
  wrap: (inner: MemoryPort, arena: ConstructorParameters<typeof MemoryPort>[2]) => Port,
): void =>
  portCompliance(name, async (arena, stats) => {
    const memory = new MemoryPort('m', NO, arena, stats)
    return {
      port: wrap(memory, arena),
      send: async (frame) => memory.inject(frame),
      receive: async () => memory.sent.splice(0).map((f) => f.data),
      close: async () => {},
    }
  })

over('memory', (inner) => inner)
over('capture', (inner, arena) => new CapturePort(inner, arena, () => {}))
over('fault without faults', (inner, arena) => new FaultPort(inner, arena, {}, 1))
