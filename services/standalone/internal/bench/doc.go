// Package bench measures Pairgate as one process, started as its users start it,
// against floors measured in the same run on the same machine. All of it is behind
// the build tag bench; `make bench` runs it and prints its table.
package bench
