import { describe, expect, test } from 'vitest'
import { readTunnelOptions } from '../../../src/config/tunnel-options.ts'

describe('options of a vxlan port', () => {
  test('defaults are those of Open vSwitch', () => {
    const { config, complaints } = readTunnelOptions({ remote_ip: '192.0.2.1' })
    expect(complaints).toEqual([])
    expect(config).toEqual({
      remote: Uint8Array.of(192, 0, 2, 1),
      dstPort: 4789,
      tos: 0,
      ttl: 64,
      df: true,
    })
  })

  test('everything given, as numbers or as text', () => {
    const { config } = readTunnelOptions({
      remote_ip: '2001:db8::2',
      local_ip: 'flow',
      key: '0x64',
      dst_port: 8472,
      tos: 'inherit',
      ttl: 7,
      df_default: 'false',
      csum: true,
    })
    expect(config).toMatchObject({
      local: 'flow',
      key: 100,
      dstPort: 8472,
      tos: 'inherit',
      ttl: 7,
      df: false,
      csum: true,
    })
    expect(config?.remote).toHaveLength(16)
  })

  test('a TTL of 0 stands for the default', () => {
    expect(readTunnelOptions({ remote_ip: 'flow', ttl: 0 }).config?.ttl).toBe(64)
  })

  test.each([
    [{}, 'needs remote_ip'],
    [{ remote_ip: '192.0.2.300' }, 'remote_ip: an IPv4 or IPv6 address or "flow" expected, not "192.0.2.300"'],
    [{ remote_ip: '239.1.1.1' }, 'unicast'],
    [{ remote_ip: 'ff02::1' }, 'unicast'],
    [{ remote_ip: '192.0.2.1', local_ip: '::1' }, 'same family'],
    [{ remote_ip: '192.0.2.1', key: 16777216 }, 'key: 0..16777215 or "flow" expected'],
    [{ remote_ip: '192.0.2.1', dst_port: 0 }, 'dst_port: 1..65535 expected'],
    [{ remote_ip: '192.0.2.1', tos: 3 }, 'ECN'],
    [{ remote_ip: '192.0.2.1', ttl: 'flow' }, 'ttl: 0..255 or "inherit" expected'],
    [{ remote_ip: '192.0.2.1', df_default: 'maybe' }, 'df_default: true or false expected'],
    [{ remote_ip: '192.0.2.1', psk: 'secret' }, 'unknown option "psk"'],
  ])('%j is refused', (options, text) => {
    const { config, complaints } = readTunnelOptions(options)
    expect(config).toBeUndefined()
    expect(complaints.join('\n')).toContain(text)
  })
})
