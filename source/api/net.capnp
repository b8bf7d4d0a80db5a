@0xb4c2f0e3a1d75e96;
# net.capnp: the API of virtionetd and netstackd.
#
# One message a datagram (docs/architecture/07-contracts-map.md, "Channels"): a client sends a Request, the server answers
# with one Reply that carries the same id. Both services speak this one schema; a request that the asked service does not
# serve gets error.errno = ENOSYS. Errors are Linux/riscv64 errno numbers and a sentence for the operator.
#
# After a change: go generate ./source/api/netcapnp (needs Debian's capnproto), and commit the generated file.

using Go = import "/go.capnp";
$Go.package("netcapnp");
$Go.import("nexus/source/api/netcapnp");

struct Request {
  id @0 :UInt64;
  # Chosen by the client; the reply repeats it.

  union {
    info @1 :Void;
    # virtionetd: its NIC. netstackd: virt0. Reply: info.

    send @2 :Data;
    # virtionetd: put one raw Ethernet frame (14 to 1514 bytes, no FCS) on the wire. Reply: done, or EINVAL / EMSGSIZE /
    # EAGAIN (transmit ring full for longer than the bound).

    recv :group {
      # virtionetd: the next received frame, or ETIMEDOUT. Reply: frame.
      timeoutMs @3 :UInt32;
    }

    attach @4 :Void;
    # virtionetd: become the owner of the frame queue. Reply: attach, beside it the descriptors frames, queue, rxbell,
    # txbell in this order. EBUSY while somebody else holds it, EPERM on any channel but the network stack's.

    stats @5 :Void;
    # Both: every counter, in a fixed order. Reply: stats.

    ifUp @6 :Text;
    # netstackd: set the named interface administratively up. Reply: done, or ENODEV.

    ifDown @7 :Text;
    # netstackd: set it down. Reply: done, or ENODEV.

    ifList @8 :Void;
    # netstackd: all interfaces, lo first. Reply: ifList.

    dhcp @9 :Text;
    # netstackd: obtain (or confirm) a lease for the named interface. Reply: address, or ETIMEDOUT when no server
    # answered within the bound.

    addrSet :group {
      # netstackd: replace the interface's IPv4 address. Reply: done, or ENODEV / EINVAL.
      name @10 :Text;
      address @11 :Address;
    }

    addrGet @12 :Text;
    # netstackd: Reply: address; ENODEV; EADDRNOTAVAIL when the interface has none.

    ping :group {
      # netstackd: ICMP echo. Bounds: count 1..64, size 0..1472, timeoutMs 1..10000 (for each echo). Reply: ping, also when
      # nothing came back; ENETUNREACH / EHOSTUNREACH when there is no way to ask.
      address @13 :Data;
      # 4 bytes, network order
      count @14 :UInt16;
      timeoutMs @15 :UInt32;
      size @16 :UInt16;
      # payload bytes
    }

    arp @17 :Void;
    # netstackd: the neighbour table. Reply: arp.

    captureOpen :group {
      # netstackd: keep a copy of each packet that passes from now on. Reply: capture, or ENODEV (no such interface) /
      # EMFILE (too many captures).
      interface @18 :Text;
      # empty for all
      snapLength @19 :UInt32;
      # bytes kept of each packet; 0, and what is more, for as many as a message has room for: 65024
    }

    captureRead :group {
      # netstackd: the oldest packets that the capture holds and a message can, at least one, in the order in which they
      # passed; they are taken out of it. Reply: packets, or ETIMEDOUT / EBADF (no such capture: closed, or not read for
      # 30 s). A read that found nothing counts as one.
      capture @20 :UInt64;
      timeoutMs @21 :UInt32;
      # at most 10000, else it is that
    }

    captureClose @22 :UInt64;
    # netstackd: forget a capture and what it holds. Reply: done, or EBADF.
  }
}

struct Reply {
  id @0 :UInt64;
  # Of the request; 0 when it could not be read.

  union {
    error :group {
      errno @1 :UInt16;
      text @2 :Text;
      # what failed and what to do, one line
    }
    done @3 :Void;
    info @4 :Interface;
    frame @5 :Data;
    attach @6 :Attachment;
    stats @7 :List(Counter);
    ifList @8 :List(Interface);
    address @9 :Address;
    ping :group {
      sent @10 :UInt16;
      echoes @11 :List(Echo);
      # in order of arrival
    }
    arp @12 :List(Neighbour);
    capture @13 :UInt64;
    # a handle, which netstackd never gives twice
    packets :group {
      list @14 :List(Packet);
      dropped @15 :UInt64;
      # packets that found no room since captureOpen
    }
  }
}

struct Interface {
  name @0 :Text;
  mac @1 :Data;
  # 6 bytes; empty for lo
  mtu @2 :UInt32;
  # bytes of IP
  up @3 :Bool;
  address @4 :Address;
  # null when it has none, and always from virtionetd
  instance @5 :UInt64;
  # of the serving process: another number after it was started anew
}

struct Address {
  ip @0 :Data;
  # 4 bytes, network order
  prefixLength @1 :UInt8;
  gateway @2 :Data;
  # 4 bytes, or empty for none
  dns @3 :List(Data);
  # 4 bytes each
  origin @4 :Origin;
  # how the address came; ignored in addrSet
  leaseSeconds @5 :UInt32;
  # of a lease, as granted; 0 otherwise
}

enum Origin {
  none @0;
  loopback @1;
  static @2;
  dhcp @3;
}

struct Attachment {
  # The shared memory that comes with it is described in source/libs/frameq.
  interface @0 :Interface;
  slotSize @1 :UInt32;
  # bytes
  slots @2 :UInt32;
  # in frames
  framesSize @3 :UInt64;
  # bytes to map of frames
  queueSize @4 :UInt64;
  # bytes to map of queue
}

struct Counter {
  name @0 :Text;
  # e.g. virt0.drop.martian
  value @1 :UInt64;
}

struct Echo {
  sequence @0 :UInt16;
  ttl @1 :UInt8;
  size @2 :UInt16;
  # payload bytes
  nanoseconds @3 :UInt64;
  # round trip
}

struct Neighbour {
  interface @0 :Text;
  ip @1 :Data;
  mac @2 :Data;
  # empty while unresolved
  state @3 :Text;
  # incomplete, reachable, stale, delay, probe, static, unreachable
}

struct Packet {
  # On virt0 an Ethernet frame without FCS: received as the driver gave it, also when it is dropped afterwards, or given to
  # the driver to be sent. On lo an IP packet as it was sent, once; whoever receives it has got that one.
  interface @0 :Text;
  outgoing @1 :Bool;
  nanoseconds @2 :UInt64;
  # CLOCK_REALTIME since 1970, when it passed netstackd
  length @3 :UInt32;
  # bytes of the whole packet
  data @4 :Data;
  # its first snapLength
}
