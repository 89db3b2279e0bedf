/** Live capture by the `cap` package: frames are there while traffic still runs. For small captures; tcpdump (capture.ts) takes the large ones. */
import type { Running } from './process.ts'
import type { Guest } from './testbed.ts'

interface Line {
  listening?: string
  hex?: string
  truncated?: boolean
}

export class LiveCapture {
  readonly #child: Running

  private constructor(child: Running) {
    this.#child = child
  }

  /** Resolves when frames of `link` that match the pcap filter are being taken. */
  static async start(guest: Guest, link: string, filter = ''): Promise<LiveCapture> {
    const script = new URL('live-child.mjs', import.meta.url).pathname
    const child = guest.start([process.execPath, script, link, filter])
    await child.until(/"listening":"ETHERNET"/)
    return new LiveCapture(child)
  }

  /** What has been captured so far. */
  frames(): Uint8Array[] {
    const lines = this.#child.stdout.split('\n')
    lines.pop()
    const frames: Uint8Array[] = []
    for (const text of lines) {
      const line = JSON.parse(text) as Line
      if (line.truncated) throw new Error('a frame was cut short by the capture')
      if (line.hex !== undefined) frames.push(new Uint8Array(Buffer.from(line.hex, 'hex')))
    }
    return frames
  }

  /** Waits until at least `count` frames are there. */
  async until(count: number, timeout = 5000): Promise<Uint8Array[]> {
    // `count` frame lines after the first one.
    await this.#child.until(new RegExp(`^(?:[^\\n]*"hex"[^\\n]*\\n[^]*?){${count}}`, 'm'), timeout)
    return this.frames()
  }

  async stop(): Promise<Uint8Array[]> {
    await this.#child.stop()
    return this.frames()
  }
}
