/** The obvious classifier: looks at every rule. Oracle for the real one. */
import { matchesKey } from '../../../src/flow/match.ts'
import type { Rule } from '../../../src/ofproto/rule.ts'

export class LinearClassifier {
  readonly rules: Rule[] = []

  insert(rule: Rule): void {
    this.rules.push(rule)
  }

  remove(rule: Rule): void {
    this.rules.splice(this.rules.indexOf(rule), 1)
  }

  /** All matching rules of the highest priority: which of them is found is not defined. */
  lookup(key: Int32Array): Rule[] {
    const matching = this.rules.filter((rule) => matchesKey(rule.match, key))
    const top = Math.max(...matching.map((rule) => rule.priority))
    return matching.filter((rule) => rule.priority === top)
  }
}
