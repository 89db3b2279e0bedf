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
  it('reads ping: gaps are losses, what is still under way at the end is not', () => {
    const answer = (seq: number): string => `64 bytes from 10.0.0.1: icmp_seq=${seq} ttl=64 time=0.03 ms`
    const output = (seqs: number[], sent: number): string =>
      `${seqs.map(answer).join('\n')}\n${sent} packets transmitted, ${seqs.length} received, 7% packet loss, time 201ms
rtt min/avg/max/mdev = 0.020/0.031/0.052/0.011 ms`
    expect(parsePing(output([1, 2, 4, 4], 5))).toMatchObject({
      received: 3,
      duplicates: 1,
      loss: 25,
      rtt: { avg: 0.031 },
    })
    expect(parsePing(output([1, 2, 3], 5))).toMatchObject({ received: 3, duplicates: 0, loss: 0 })
    expect(parsePing('3 packets transmitted, 0 received, 100% packet loss, time 1ms')).toMatchObject({ loss: 100 })
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
