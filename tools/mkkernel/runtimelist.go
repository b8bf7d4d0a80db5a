package main

// patches lists the entries of the runtime that must never run on the kernel's stack: the index is the code that the
// kernel's fatal function gets in x31. Names lack "runtime."; those not linked in are skipped. Codes are part of the
// console's format: append, do not renumber.
var patches = [...][]string{
	1:  {"morestack", "morestack_noctxt", "morestackc"},
	2:  {"panicBounds", "panicBounds64"},
	3:  {"panicdivide"},
	4:  {"panicshift"},
	5:  {"panicunsafeslicelen", "panicunsafeslicelen1", "panicunsafeslicenilptr", "panicunsafeslicenilptr1"},
	6:  {"panicunsafestringlen", "panicunsafestringnilptr", "panicSliceConvert"},
	7:  {"gopanic", "panicnil"},
	8:  {"panicwrap"},
	9:  {"panicdottypeE", "panicdottypeI", "panicnildottype"},
	10: {"panicmem", "panicmemAddr", "panicoverflow", "panicfloat"},
	11: {"throw", "fatal", "fatalthrow", "fatalpanic"},
	12: {"mallocgc", "newobject", "newarray"},
	13: {"makeslice", "makeslice64", "growslice"},
	14: {"gcWriteBarrier1", "gcWriteBarrier2", "gcWriteBarrier3", "gcWriteBarrier4", "gcWriteBarrier5", "gcWriteBarrier6",
		"gcWriteBarrier7", "gcWriteBarrier8"},
}

// patchText says what a code means, for symbolize.
var patchText = [...]string{
	1: "stack overflow", 2: "index or slice out of range", 3: "division by zero", 4: "negative shift", 5: "unsafe.Slice",
	6: "unsafe.String or slice conversion", 7: "panic", 8: "method of a nil pointer", 9: "type assertion", 10: "memory fault",
	11: "runtime throw", 12: "allocation", 13: "slice allocation", 14: "write barrier",
}

// callable holds the functions of the runtime that kernel code may call. The first are leaf functions that do the work
// of an operator; the others are the patched ends of checks that failed.
var callable = map[string]bool{
	"runtime.memmove": true, "runtime.memclrNoHeapPointers": true, "runtime.duffzero": true, "runtime.duffcopy": true,
	"runtime.memequal": true, "runtime.memequal_varlen": true, "runtime.strequal": true, "runtime.cmpstring": true,
	"runtime.memequal0": true, "runtime.memequal8": true, "runtime.memequal16": true, "runtime.memequal32": true,
	"runtime.memequal64": true, "runtime.memequal128": true,

	"compare": true, // the body of cmpstring

	"runtime.morestack": true, "runtime.morestack_noctxt": true, "runtime.morestackc": true,
	"runtime.panicBounds": true, "runtime.panicdivide": true, "runtime.panicshift": true,
	"runtime.panicunsafeslicelen": true, "runtime.panicunsafeslicenilptr": true,
	"runtime.panicunsafestringlen": true, "runtime.panicunsafestringnilptr": true, "runtime.panicSliceConvert": true,
	"runtime.gopanic": true, "runtime.panicwrap": true,
	"runtime.panicdottypeE": true, "runtime.panicdottypeI": true, "runtime.panicnildottype": true,
}

// patched holds every name in patches; a call graph ends there.
var patched = func() map[string]bool {
	names := make(map[string]bool)
	for _, list := range patches {
		for _, name := range list {
			names["runtime."+name] = true
		}
	}
	return names
}()
