/**
 * The one registry of inspection and control verbs (`module/verb`, as OVS's unixctl has them). Each module registers its own; the control socket, the CLI and the tests
 * are its clients.
 */

/** Parsed arguments: the words after the verb. */
export type VerbArgs = readonly string[]

/** What a verb answers. `text` is what `ovs-appctl` prints; `json` is the same as data, for `--json` clients. */
export interface VerbReply {
  readonly text: string
  readonly json?: unknown
}

/** A failure that the caller caused or must hear of: its message goes to the client as the error. */
export class VerbError extends Error {}

export interface Verb {
  readonly name: string
  /** Arguments as `list-commands` shows them: '[-m] [type=TYPE]'. */
  readonly usage: string
  readonly minArgs: number
  readonly maxArgs: number
  readonly run: (args: VerbArgs) => VerbReply | Promise<VerbReply>
}

export class VerbRegistry {
  readonly #verbs = new Map<string, Verb>()

  register(
    name: string,
    usage: string,
    minArgs: number,
    maxArgs: number,
    run: (args: VerbArgs) => VerbReply | Promise<VerbReply>,
  ): void {
    if (this.#verbs.has(name)) throw new Error(`verb ${name} is registered twice`)
    this.#verbs.set(name, { name, usage, minArgs, maxArgs, run })
  }

  get(name: string): Verb | undefined {
    return this.#verbs.get(name)
  }

  /** Sorted by name. */
  list(): Verb[] {
    return [...this.#verbs.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Checks the arguments' number and runs. Throws VerbError for an unknown verb or wrong arguments. */
  async call(name: string, args: VerbArgs): Promise<VerbReply> {
    const verb = this.#verbs.get(name)
    if (!verb)
      throw new VerbError(`"${name}" is not a valid command (use "list-commands" to see a list of valid commands)`)
    if (args.length < verb.minArgs) throw new VerbError(`"${name}" command requires at least ${verb.minArgs} arguments`)
    if (args.length > verb.maxArgs) throw new VerbError(`"${name}" command takes at most ${verb.maxArgs} arguments`)
    return verb.run(args)
  }
}
