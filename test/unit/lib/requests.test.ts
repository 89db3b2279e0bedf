import { describe, expect, it } from 'vitest'
import { Requests } from '../../../src/lib/requests.ts'

type Message = { readonly type: 'open'; readonly seq: number; readonly name: string } | { readonly type: 'bell' }

const create = (): { sent: Message[]; requests: Requests<Message> } => {
  const sent: Message[] = []
  return { sent, requests: new Requests((message) => sent.push(message)) }
}

describe('requests', () => {
  it('are numbered, and answered in whatever order', async () => {
    const { sent, requests } = create()
    const done: string[] = []
    const [one, two] = ['one', 'two'].map((name) =>
      requests.ask({ type: 'open', name }).then(() => {
        done.push(name)
      }),
    )
    expect(sent).toEqual([
      { type: 'open', name: 'one', seq: 0 },
      { type: 'open', name: 'two', seq: 1 },
    ])
    requests.answered({ seq: 1 })
    await two
    expect(done).toEqual(['two'])
    requests.answered({ seq: 0 })
    await one
  })

  it('are refused with the words of who was asked', async () => {
    const { requests } = create()
    const asked = requests.ask({ type: 'open', name: 'one' })
    requests.answered({ seq: 0, error: 'no room' })
    await expect(asked).rejects.toThrow('no room')
  })

  it('fail when he is lost, also those that come later, which are not sent; his late answers are nothing', async () => {
    const { sent, requests } = create()
    const asked = requests.ask({ type: 'open', name: 'one' })
    requests.lose(new Error('gone'))
    requests.answered({ seq: 0 })
    await expect(asked).rejects.toThrow('gone')
    await expect(requests.ask({ type: 'open', name: 'two' })).rejects.toThrow('gone')
    expect(sent).toHaveLength(1)
  })
})
