import { expect, test } from 'vitest'
import { RTM_NEWLINK } from '../../../src/netlink/link.ts'
import { Namespace } from '../../../src/netlink/namespace.ts'
import { ack, done, FakeKernel, linkNews, linkPart, linkPayload, message, PORTID } from './fake-kernel.ts'

const LO = { index: 1, name: 'lo' }

test('caughtUp resolves behind the news that were there before, and at once when the namespace is gone', async () => {
  const kernel = new FakeKernel()
  const opening = Namespace.open({ transport: kernel, timers: kernel, onError: () => {} })
  kernel.deliver(linkPart(kernel.last, LO), done(kernel.last))
  const namespace = await opening
  const seen: string[] = []
  namespace.links.on(({ link }) => seen.push(link.name))
  const caught = namespace.caughtUp().then(() => seen.push('caught up'))
  // Nobody had told yet that there is something to be read.
  kernel.deliver(
    linkNews({ index: 2, name: 'a' }),
    linkNews({ index: 3, name: 'b' }),
    message(RTM_NEWLINK, linkPayload(LO), { seq: kernel.last.seq, port: PORTID }),
    ack(kernel.last),
  )
  await caught
  expect(seen).toEqual(['a', 'b', 'caught up'])
  namespace.close()
  await namespace.caughtUp()
})
