// What programs of GREEN-API's users do, by its own libraries as they are published,
// against a running gateway:
//
//   node clients.mjs GATEWAY PARTNER-TOKEN LAB PHONE
//
// Both URLs are without a slash at their end; the phone is one of the lab's. Exits with
// 0 when every answer was what the libraries' users rely on.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import v2 from '@green-api/whatsapp-api-client-js-v2'
import integration from '@green-api/greenapi-integration'

const [gateway, partnerToken, lab, phone] = process.argv.slice(2)
for (const level of ['log', 'info', 'debug', 'warn']) console[level] = () => {} // both libraries log every request
process.stdout.write = () => true

// The libraries have the host name of the original in them, so their users override
// what builds the address, and nothing else.
class Client extends v2.GreenApiClient {
	buildUrl() {
		return `${gateway}/waInstance${this.instance.idInstance}`
	}
}

// The libraries' users wait between two questions of one kind: once a second is allowed.
const until = async (what, ask) => {
	for (let tries = 0; tries < 60; tries++) {
		const answer = await ask()
		if (answer) return answer
		await sleep(1000)
	}
	throw new Error(`waited in vain for ${what}`)
}

const scan = async (client) =>
	until('a scan', async () => {
		const qr = await client.getQR()
		assert.equal(qr.type, 'qrCode', JSON.stringify(qr))
		const picture = Buffer.from(qr.message, 'base64')
		const answer = await fetch(`${lab}/accounts/${phone}/scan`, { method: 'POST', headers: { 'Content-Type': 'image/png' }, body: picture })
		return answer.status === 204
	})

const inState = (client, state) => until(state, async () => (await client.getStateInstance()).stateInstance === state)

const byPartner = async () => {
	const partner = new v2.GreenApiPartnerClient({ partnerToken, partnerApiUrl: gateway })
	const made = await partner.createInstance({ name: 'by the library', stateWebhook: 'yes' })
	assert.deepEqual(Object.keys(made), ['idInstance', 'apiTokenInstance', 'typeInstance'])
	assert.equal(typeof made.idInstance, 'number')
	const listed = (await partner.getInstances()).find((i) => i.idInstance === made.idInstance)
	assert.equal(listed.apiTokenInstance, made.apiTokenInstance)
	assert.equal(listed.deleted, false)
	const wrong = new v2.GreenApiPartnerClient({ partnerToken: 'gac.wrong', partnerApiUrl: gateway })
	assert.deepEqual(await wrong.getInstances(), { code: 401, description: 'Unauthorized' })
	return { partner, made }
}

const receive = async (client, state) => {
	const item = await until(`the notification ${state}`, () => client.receiveNotification(5))
	assert.ok(Number.isInteger(item.receiptId))
	assert.equal(item.body.typeWebhook, 'stateInstanceChanged')
	assert.equal(item.body.stateInstance, state)
	assert.deepEqual((await client.deleteNotification(item.receiptId)).result, true)
	return item.body
}

// whatsapp-api-client-js-v2: an instance's whole life, notifications pulled.
const pulled = async () => {
	const { partner, made } = await byPartner()
	const client = new Client(made)
	assert.equal((await client.getStateInstance()).stateInstance, 'notAuthorized')
	await receive(client, 'notAuthorized')
	assert.deepEqual(await client.setSettings({ incomingWebhook: 'yes', delaySendMessagesMilliseconds: 1000 }), { saveSettings: true })
	const settings = await client.getSettings()
	assert.deepEqual([settings.incomingWebhook, settings.stateWebhook, settings.delaySendMessagesMilliseconds, settings.wid], ['yes', 'yes', 1000, ''])
	const code = await client.getAuthorizationCode(Number(phone))
	assert.ok(code.status && code.code.length === 8, JSON.stringify(code))
	await scan(client)
	await inState(client, 'authorized')
	await receive(client, 'starting')
	assert.equal((await receive(client, 'authorized')).instanceData.wid, `${phone}@c.us`)
	assert.deepEqual(await client.getQR(), { type: 'alreadyLogged', message: 'instance account already authorized' })
	assert.equal((await client.getWaSettings()).phone, phone)
	assert.deepEqual(await client.reboot(), { isReboot: true })
	await assert.rejects(client.sendMessage({ chatId: `${phone}@c.us`, message: 'hello' }), /does not offer the method sendMessage/)
	assert.deepEqual(await client.logout(), { isLogout: true })
	await inState(client, 'notAuthorized')
	await receive(client, 'notAuthorized')
	assert.equal(await client.receiveNotification(5), null)
	assert.deepEqual(await partner.deleteInstanceAccount({ idInstance: made.idInstance }), { deleteInstanceAccount: true })
	await assert.rejects(client.getSettings(), /Instance is deleted/)
}

// greenapi-integration: its adapter sets an instance up, and its guard lets our webhooks in.
const pushed = async () => {
	const { made } = await byPartner()
	class Own extends integration.GreenApiClient {
		buildUrl() {
			return `${gateway}/waInstance${this.instance.idInstance}`
		}
	}
	const kept = new Map()
	const storage = {
		createInstance: async (instance) => kept.set(Number(instance.idInstance), instance) && instance,
		getInstance: async (id) => kept.get(Number(id)) ?? null,
	}
	const states = []
	class Adapter extends integration.BaseAdapter {
		createGreenApiClient(instance) {
			return new Own(instance)
		}
		async handleStateInstanceWebhook(webhook) {
			states.push(webhook.stateInstance)
		}
	}
	class Guard extends integration.BaseGreenApiAuthGuard {}
	const guard = new Guard(storage)
	const adapter = new Adapter({}, storage)
	const refused = []
	const server = createServer(async (request, response) => {
		let text = ''
		for await (const part of request) text += part
		const body = JSON.parse(text)
		try {
			await guard.validateRequest({ headers: request.headers, body })
			await adapter.handleGreenApiWebhook(body, ['stateInstanceChanged'])
		} catch (error) {
			refused.push(error.message)
		}
		response.end() // 200 without a body, as Express's res.send()
	}).listen(0, '127.0.0.1')
	await once(server, 'listening')
	try {
		const webhookUrl = `http://127.0.0.1:${server.address().port}/webhook`
		await adapter.createInstance({ ...made, settings: { webhookUrl, webhookUrlToken: 'a-token', stateWebhook: 'yes' } })
		const client = new Own(made)
		assert.equal((await client.getSettings()).webhookUrlToken, 'a-token')
		await scan(client)
		await until('the webhooks', () => states.includes('authorized'))
		assert.deepEqual(refused, [])
		assert.deepEqual(states.slice(-2), ['starting', 'authorized'])
		assert.deepEqual(await client.logout(), { isLogout: true })
	} finally {
		server.closeAllConnections()
		server.close()
	}
}

await pulled()
await pushed()
