@0xd1a94a6e07c5b3f2;
# fetch.capnp: the API of fetchd.
#
# One message a datagram (docs/architecture/07-contracts-map.md, "Channels"): a client sends a Request, fetchd answers with
# one Reply that carries the same id. A body larger than one message comes in pieces, each asked for, so that neither side
# ever holds more than one piece. Errors are Linux/riscv64 errno numbers and a sentence for the operator.
#
# After a change: go generate ./source/api/fetchcapnp (needs Debian's capnproto), and commit the generated file.

using Go = import "/go.capnp";
$Go.package("fetchcapnp");
$Go.import("nexus/source/api/fetchcapnp");

struct Request {
  id @0 :UInt64;
  # Chosen by the client; the reply repeats it.

  union {
    fetch :group {
      # Begin to fetch url and answer with the first piece of its body. A body of this channel that was not read to its end
      # is dropped. Reply: piece, or EINVAL (not a URL), EPROTONOSUPPORT (neither http nor pkg), EFBIG (longer than
      # maxBytes), ETIMEDOUT, ENOENT (no such package file), ECONNREFUSED, or EIO for whatever else failed.
      url @1 :Text;
      maxBytes @2 :UInt64;
      # of the body; 0 is fetchd's own bound, which also caps it
      timeoutMs @3 :UInt32;
      # from this request to the end of the body; 0 is fetchd's own bound, which also caps it
    }
    more @4 :Void;
    # The next piece of the body of this channel's fetch. Reply: piece, or the errors of fetch; ENODATA when there is none.
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
    piece :group {
      status @3 :UInt16;
      # of the http reply; 200 from a package
      body @4 :Data;
      # at most 32 KiB
      last @5 :Bool;
      # nothing follows
    }
  }
}
