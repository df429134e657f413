// Package embedded runs a NATS server with JetStream inside this process, for
// the one-process program and for tests.
//
// Connections of the same process need no socket (Server is a
// nats.InProcessConnProvider; ConnOptions fills in the credentials). A socket is
// opened only when asked for, and then user and password are mandatory. The
// server installs no signal handlers and never exits the process.
package embedded
