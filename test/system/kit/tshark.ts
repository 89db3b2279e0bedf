/** Captures as tshark sees them, checksums validated: a judge that is none of ours. */
import { must } from './process.ts'

const CHECKS = ['ip.check_checksum', 'udp.check_checksum', 'tcp.check_checksum'].flatMap((key) => ['-o', `${key}:TRUE`])

/**
 * A row a frame, of each field all its occurrences, outer first. The analysis of TCP's own course is left out; what runs on iperf3's port is random bytes and not guessed at.
 */
export const fields = async (path: string, ...names: readonly string[]): Promise<string[][][]> => {
  const text = await must(
    [
      ...['tshark', '-n', '-r', path, ...CHECKS, '-o', 'tcp.analyze_sequence_numbers:FALSE'],
      // The port that the kernel's tunnels had before there was one for them.
      ...['-d', 'udp.port==8472,vxlan'],
      ...['-d', 'tcp.port==5201,data', '-d', 'udp.port==5201,data', '-T', 'fields', '-E', 'aggregator=|'],
      ...names.flatMap((name) => ['-e', name]),
    ],
    { timeout: 60_000 },
  )
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t').map((field) => (field === '' ? [] : field.split('|'))))
}

/** Severity `warning` and above. */
const WARNING = 0x600000
/** What a stack tells about its own connection. */
const TCP_OWN = /Connection reset|D-SACK/

/** Frames that are malformed or that tshark warns of, in words. */
export const complaints = async (path: string): Promise<string[]> => {
  const rows = await fields(path, 'frame.number', '_ws.malformed', '_ws.expert.severity', '_ws.expert.message')
  return rows.flatMap(([number, malformed, severities, messages]) => {
    const serious = (messages ?? []).filter(
      (message, i) => Number(severities?.[i] ?? 0) >= WARNING && !TCP_OWN.test(message),
    )
    const words = [...(malformed ?? []), ...serious]
    return words.length === 0 ? [] : [`frame ${number?.[0]}: ${words.join('; ')}`]
  })
}
