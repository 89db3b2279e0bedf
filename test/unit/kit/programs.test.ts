import { describe, expect, it } from 'vitest'
import { parseIperf } from '../../system/kit/iperf.ts'
import { parsePing } from '../../system/kit/ping.ts'
import { must, Running, run } from '../../system/kit/process.ts'

describe('programs', () => {
  it('gives status and output, or throws with both', async () => {
    expect(await run(['sh', '-c', 'echo out; echo err >&2; exit 3'])).toMatchObject({ code: 3, stdout: 'out\n' })
    await expect(must(['sh', '-c', 'echo why >&2; exit 3'])).rejects.toThrow(/exit 3\nwhy/)
    await expect(must(['no-such-program'])).rejects.toThrow(/ENOENT/)
    expect(await must(['cat'], { input: 'through' })).toBe('through')
  })

  it('ends a program that takes too long', async () => {
    await expect(run(['sleep', '60'], { timeout: 50 })).rejects.toThrow(/no end within 50 ms/)
  })

  it('waits for output, also when it is there already, and tells when the program ended instead', async () => {
    const running = new Running(['sh', '-c', 'echo ready; read line; echo got $line'])
    await running.until(/ready/)
    await running.until(/ready/)
    running.child.stdin?.write('word\n')
    expect((await running.until(/got (\w+)/))[1]).toBe('word')
    await running.exited
    await expect(running.until(/never/)).rejects.toThrow(/the program ended before/)
  })
})

describe('reports', () => {
  it('reads ping with loss and duplicates', () => {
    const text =
      '5 packets transmitted, 4 received, +1 duplicates, 20% packet loss, time 201ms\nrtt min/avg/max/mdev = 0.020/0.031/0.052/0.011 ms'
    expect(parsePing(text)).toMatchObject({ sent: 5, received: 4, duplicates: 1, loss: 20, rtt: { avg: 0.031 } })
    expect(parsePing('3 packets transmitted, 0 received, 100% packet loss, time 1ms').rtt).toBeUndefined()
    expect(() => parsePing('ping: connect: Network is unreachable')).toThrow(/no summary/)
  })

  it('reads iperf3 of both protocols', () => {
    const sum = { bits_per_second: 8e6, bytes: 1e6 }
    expect(
      parseIperf(JSON.stringify({ end: { sum_sent: { ...sum, retransmits: 2 }, sum_received: sum } })),
    ).toMatchObject({ rate: 8e6, retransmits: 2, lost: 0 })
    expect(parseIperf(JSON.stringify({ end: { sum: { ...sum, lost_packets: 3, packets: 10 } } }))).toMatchObject({
      lost: 3,
      packets: 10,
    })
    expect(() => parseIperf('{"error":"unable to connect","end":{}}')).toThrow(/unable to connect/)
  })
})
