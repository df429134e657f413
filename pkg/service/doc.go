// Package service is the shell of a Pairgate service: configuration from the
// environment, the logger, health, metrics, the operations server, signals and
// exit codes, so that a service's own main says only what is special to it.
//
// A program is usually one call of [Main]. The pieces ([Parse], [NewLogger],
// [NewHealth], [NewOps], [RunGroup], …) stand alone as well, for a program that
// runs several services in one process.
//
// What every program does alike:
//
//   - It reads variables that begin with PAIRGATE_; every bad value, and every
//     such variable that no service of this version knows, is named in one error
//     at start. An empty variable counts as one that is not set.
//   - -h prints each variable with its type, default and meaning, from the same
//     struct tags that it is parsed by.
//   - It ends with status 0 after a drain of at most [DrainTimeout], 1 when it
//     failed, 2 when its arguments or its configuration are wrong.
//   - No value of a variable is ever printed, and no secret is logged.
package service
