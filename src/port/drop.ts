/**
 * Why a frame was not delivered: the names, and the indices of their counters. One list for all threads, so that `port/show` and `coverage/show`
 * can name every loss. Counters are kept by port and by thread (DropCounters).
 */
export const DROP_REASONS = [
  /** Receive: larger than any slot. */
  'rx-oversize',
  /** Receive: no free slot in the thread's pool. */
  'rx-no-slot',
  /** Receive: shorter than an Ethernet header. */
  'rx-runt',
  /** Receive: virtio-net header with offsets outside of the frame. */
  'rx-bad-vnet',
  /** The cached flow says drop (no actions): a decision, not a fault. */
  'flow-drop',
  /** Too many upcalls of this port are outstanding. */
  'upcall-limit',
  /** Too many frames of this port wait behind an upcall of their own flow. */
  'upcall-park-full',
  /** The ring to another thread is full. */
  'ring-full',
  /** No slot for a copy (several outputs, clone, hand-over to another thread). */
  'copy-no-slot',
  /** The output's queue is full. */
  'tx-full',
  /** Cannot be segmented or completed for the output: headers malformed. */
  'tx-malformed',
  /** write() failed: interface down or gone. */
  'tx-error',
  /** Larger than the output's MTU, and not a super-frame that can be cut. */
  'tx-mtu',
  /** The output port does not exist any more. */
  'no-port',
  /** Looked up more than 5 times. */
  'recirc-limit',
  /** An action met a packet it cannot be applied to (header cut off). */
  'action-malformed',
  /** A `drop` action with a reason of tier 1 (translation limits, unsupported output, ...). */
  'translation',
  /** The port is administratively down. */
  'port-down',
  /** The thread that owns the port is being replaced. */
  'worker-gone',
  /** There is no route to the tunnel's peer, or none that tunnels can use. */
  'no-route',
  /** The next hop towards the tunnel's peer does not answer. */
  'neighbour-failed',
  /** The way to the tunnel's peer leads through a tunnel. */
  'tunnel-loop',
  /** Too many packets wait for the same next hop. */
  'neighbour-queue-full',
  /** Waited for the next hop's address for too long. */
  'neighbour-timeout',
  /** Too big for the tunnel's underlay. */
  'tunnel-mtu',
  /** Outer headers of a tunnel's packet that are cut short, contradict each other, or carry a wrong flag. */
  'decap-malformed',
  /** A wrong outer checksum. */
  'decap-checksum',
  /** Congestion was marked outside of a packet that does not speak of it (RFC 6040). */
  'decap-ecn',
  /** No tunnel port has this VNI and these endpoints. */
  'unknown-vni',
  /** A fragment of an outer packet. */
  'outer-fragment',
  /** For a bridge's internal port that no host's stack owns, and neither a tunnel's packet nor ARP or neighbour discovery that concerns it. */
  'no-stack',
] as const

export type DropReason = (typeof DROP_REASONS)[number]

export const DROP_WORDS = 32

/** Index of a reason's counter. */
export const dropIndex = (reason: DropReason): number => DROP_REASONS.indexOf(reason)
