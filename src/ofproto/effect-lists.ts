/** Lists of side effects that many cached flows have: those of one guest's packets to one other, say. They share one list, so that it is kept once. Bounded. Main thread. */
import type { SideEffect } from './translate/effects.ts'

/** A power of two. What another list has pushed out is shared no more, that is all. */
const PLACES = 64

const placeOf = (effects: readonly SideEffect[]): number => {
  let h = effects.length
  for (const effect of effects)
    if (effect.type === 'learn') h = Math.imul(h ^ (effect.mac & 0xffffffff), 0x9e3779b1)
    else if (effect.type === 'encap') h = Math.imul(h ^ effect.entry, 0x9e3779b1)
  return (h >>> 16) & (PLACES - 1)
}

const equal = (a: SideEffect, b: SideEffect): boolean => {
  if (a === b) return true
  switch (a.type) {
    case 'rule':
      return b.type === 'rule' && a.rule === b.rule
    case 'learn':
      return (
        b.type === 'learn' && a.bundle === b.bundle && a.mac === b.mac && a.vlan === b.vlan && a.gratArp === b.gratArp
      )
    case 'patch':
      return b.type === 'patch' && a.tx === b.tx && a.rx === b.rx
    case 'encap':
      return b.type === 'encap' && a.layer === b.layer && a.entry === b.entry && a.port === b.port
    case 'decap':
      return b.type === 'decap' && a.port === b.port
  }
}

const equalLists = (a: readonly SideEffect[], b: readonly SideEffect[]): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!equal(a[i]!, b[i]!)) return false
  return true
}

export class EffectLists {
  readonly #known: (readonly SideEffect[] | undefined)[] = new Array(PLACES)

  /** A list equal to this one, which nobody may write to. */
  share(effects: readonly SideEffect[]): readonly SideEffect[] {
    const place = placeOf(effects)
    const known = this.#known[place]
    if (known !== undefined && equalLists(known, effects)) return known
    // Without the room to grow that lists have which are made one by one: it is kept for long.
    const own = effects.slice()
    this.#known[place] = own
    return own
  }
}
