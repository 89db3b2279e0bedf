/**
 * Cuts a byte stream into JSON values: JSON-RPC peers (OVS's unixctl, RFC 7047 section 4) send texts one after the other with no delimiter.
 * Only the nesting is followed here; JSON.parse judges the text.
 */
export class JsonStream {
  readonly #limit: number
  #text = ''
  #at = 0
  #depth = 0
  #inString = false
  #escaped = false

  /** `limit`: the longest text accepted, in UTF-16 units. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Takes more of the stream; returns the objects and arrays that are now complete. Throws a SyntaxError for what can never become one. */
  push(chunk: string): unknown[] {
    this.#text += chunk
    const values: unknown[] = []
    let start = 0
    for (; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (c === '\\') this.#escaped = true
        else if (c === '"') this.#inString = false
        continue
      }
      if (c === '"' && this.#depth > 0) this.#inString = true
      else if (c === '{' || c === '[') this.#depth++
      else if (c === '}' || c === ']') {
        if (--this.#depth < 0) throw new SyntaxError(`"${c}" without its beginning`)
        if (this.#depth === 0) {
          values.push(JSON.parse(this.#text.slice(start, this.#at + 1)))
          start = this.#at + 1
        }
      } else if (this.#depth === 0) {
        if (!/\s/.test(c)) throw new SyntaxError(`a JSON object or array expected, not ${JSON.stringify(c)}`)
        start = this.#at + 1
      }
    }
    this.#text = this.#text.slice(start)
    this.#at -= start
    if (this.#text.length > this.#limit) throw new SyntaxError(`message longer than ${this.#limit} characters`)
    return values
  }
}
