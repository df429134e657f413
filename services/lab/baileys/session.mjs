// Opens sessions of Baileys against a lab, for the test beside it:
//
//   node session.mjs WEBSOCKET-URL NOISE-ROOT DIRECTORY [PHONE]
//
// The root is base64; the directory keeps the credentials; with a phone, a pairing
// code is asked for. Says on stdout what happens, one JSON object a line: {"qr": text},
// {"code": text}, {"paired": id}, {"open": id}, {"closed": status}. After "closed" the line
// "again" on stdin opens the next session from the credentials in the directory. Ends
// with its stdin.
import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'

// Baileys wants it global, which it is from Node.js 20 on; Debian 12 has 18.
globalThis.crypto ??= webcrypto
const { makeWASocket, useMultiFileAuthState } = await import('baileys')
const { WA_CERT_DETAILS } = await import('baileys/lib/Defaults/index.js')
const { Curve, generateSignalPubKey } = await import('baileys/lib/Utils/crypto.js')
const { default: curve } = await import('libsignal/src/curve.js')

const [url, root, directory, phone] = process.argv.slice(2)
Buffer.from(root, 'base64').copy(WA_CERT_DETAILS.PUBLIC_KEY)

// Baileys' own Curve.verify takes every signature: it waits for an exception, where
// libsignal returns false. A witness has to look.
Curve.verify = (key, message, signature) => {
	try {
		return curve.verifySignature(generateSignalPubKey(key), message, signature)
	} catch {
		return false
	}
}

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

const quiet = { level: 'silent', child: () => quiet }
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) quiet[level] = () => {}

async function open() {
	const { state, saveCreds } = await useMultiFileAuthState(directory)
	const socket = makeWASocket({
		auth: state, logger: quiet, waWebSocketUrl: url,
		// What WhatsApp takes for a pairing code: a browser's name and a system's.
		browser: ['Linux', 'Chrome', '1.0'],
	})
	// Saves come one after another, and "closed" comes after the last.
	let saved = Promise.resolve()
	let asked = false
	socket.ev.on('creds.update', () => { saved = saved.then(saveCreds) })
	socket.ev.on('connection.update', async (update) => {
		if (update.qr && !phone) say({ qr: update.qr })
		if (update.qr && phone && !asked) {
			asked = true
			say({ code: await socket.requestPairingCode(phone) })
		}
		if (update.isNewLogin) say({ paired: state.creds.me?.id })
		if (update.connection === 'open') say({ open: state.creds.me?.id })
		if (update.connection === 'close') {
			await saved
			say({ closed: update.lastDisconnect?.error?.output?.statusCode ?? 0 })
		}
	})
}

createInterface({ input: process.stdin })
	.on('line', (line) => { if (line === 'again') open() })
	.on('close', () => process.exit(0))
await open()
