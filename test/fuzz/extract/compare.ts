/** Runs frames through Debian's ovs-ofctl and through our extraction, and tells of the first difference. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parsePcapFile } from '../../../src/cli/parse-pcap.ts'
import { pcapHeader, pcapRecord } from '../../../src/packet/pcap.ts'

export const writePcap = (path: string, frames: readonly Uint8Array[]): void => {
  writeFileSync(path, Buffer.concat([pcapHeader(), ...frames.map((f) => pcapRecord(f, 0, f.length, 0n))]))
}

/** Frames must not be empty (ovs-ofctl takes an empty record for the end of the file) nor longer than 65,535 bytes. */
export const differences = (frames: readonly Uint8Array[], limit = 5): string[] => {
  const dir = mkdtempSync(join(tmpdir(), 'tapswitch-parity-'))
  try {
    const path = join(dir, 'frames.pcap')
    writePcap(path, frames)
    const theirs = execFileSync('ovs-ofctl', ['parse-pcap', path], { encoding: 'utf8', maxBuffer: 1 << 28 })
      .trimEnd()
      .split('\n')
    const ours = [...parsePcapFile(path)]
    const out: string[] = []
    if (theirs.length !== frames.length || ours.length !== frames.length) {
      out.push(`${frames.length} frames: ovs-ofctl printed ${theirs.length} lines, we ${ours.length}`)
    }
    for (let i = 0; i < frames.length && out.length < limit; i++) {
      if (ours[i] === theirs[i]) continue
      out.push(`frame ${i}: ${Buffer.from(frames[i]!).toString('hex')}\n  ovs:  ${theirs[i]}\n  ours: ${ours[i]}`)
    }
    return out
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
