@0xe6f3b7d4529c18a0;
# pkg.capnp: the API of packagefsd.
#
# One message a datagram (docs/architecture/07-contracts-map.md, "Channels"): a client sends a Request, packagefsd answers
# with one Reply that carries the same id. A path is what follows pkg:// in a URL: names joined by single slashes, none of
# them empty, "." or ".."; at most 255 bytes. Errors are Linux/riscv64 errno numbers and a sentence for the operator.
#
# After a change: go generate ./source/api/pkgcapnp (needs Debian's capnproto), and commit the generated file.

using Go = import "/go.capnp";
$Go.package("pkgcapnp");
$Go.import("nexus/source/api/pkgcapnp");

struct Request {
  id @0 :UInt64;
  # Chosen by the client; the reply repeats it.

  union {
    stat @1 :Text;
    # Reply: file, with no data; EINVAL (not a path), ENOENT, EISDIR (not a plain file).

    read :group {
      # Bytes of the file from offset on. Reply: file, with at most count bytes of data, fewer only at the end of the file;
      # the errors of stat.
      path @2 :Text;
      offset @3 :UInt64;
      count @4 :UInt32;
      # at most 32 KiB are given
    }
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
    file :group {
      size @3 :UInt64;
      # bytes, of the whole file
      data @4 :Data;
    }
  }
}
