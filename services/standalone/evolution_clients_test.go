package standalone_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// step is a request as a client sends it, and what the client looks at in the answer.
type step struct {
	method, path, body string
	status             int
	// want is in the answer, as a pattern of the conformance suite.
	want string
}

func (e *evolution) replay(key string, steps []step, header ...string) {
	e.Helper()
	for _, s := range steps {
		a := e.as(key, s.method, s.path, s.body, header...)
		if a.status != s.status || !e.matches("<anything>"+s.want+"<anything>", a.body) {
			e.Errorf("%s %s: %d %.800s; want %d %s", s.method, s.path, a.status, a.body, s.status, s.want)
		}
	}
}

// What the community node of n8n sends, operation by operation.
func TestEvolutionAPIServesTheNodeOfN8N(t *testing.T) {
	e := evolutionSimulated(t)
	settings := `"rejectCall":false,"msgCall":"","groupsIgnore":false,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false`
	e.replay(e.key, []step{
		{"GET", "/instance/fetchInstances", "", 200, `[]`},
		{"POST", "/instance/create", `{"instanceName":"n8n","integration":"WHATSAPP-BAILEYS"}`, 201, `"instanceName":"n8n"<text>"hash":"<UUID>"`},
		{"POST", "/instance/create", `{"instanceName":"full","integration":"WHATSAPP-BAILEYS","token":"5A793D2C-EF7A-4AC5-86AE-5DE05F1CCC22","number":"5511999999999",` + settings +
			`,"proxyHost":"127.0.0.1","proxyPort":"1","proxyProtocol":"http","webhook":{"url":"https://example.com/n8n","byEvents":false,"base64":true,"events":["QRCODE_UPDATED","CONNECTION_UPDATE"]},"rabbitmq":{"enabled":false,"events":[]}}`,
			201, `"hash":"5A793D2C-EF7A-4AC5-86AE-5DE05F1CCC22"<text>"webhookUrl":"https://example.com/n8n"`},
		{"GET", "/instance/connect/n8n", "", 200, `"code":"<qr>"`},
		{"GET", "/instance/fetchInstances?instanceName=n8n", "", 200, `"name":"n8n","connectionStatus":"connecting"`},
		{"GET", "/instance/fetchInstances?instanceName=full", "", 200, `"number":"5511999999999"<text>"Proxy":{"id":"<cuid>"`},
		{"POST", "/settings/set/n8n", `{` + settings + `}`, 201, `{"settings":{"instanceName":"n8n","settings":{` + settings + `}}}`},
		{"POST", "/webhook/set/n8n", `{"webhook":{"enabled":true,"url":"https://example.com/hook","webhookByEvents":true,"webhookBase64":true,"events":["CONNECTION_UPDATE"]}}`, 201, `"events":["CONNECTION_UPDATE"],"webhookByEvents":true,"webhookBase64":true`},
		{"GET", "/webhook/find/n8n", "", 200, `"url":"https://example.com/hook"`},
		{"GET", "/proxy/find/n8n", "", 200, `null`},
		{"POST", "/proxy/set/n8n", `{"enabled":true,"host":"127.0.0.1","port":"1","protocol":"http","username":"","password":""}`, 201, `{"proxy":{"instanceName":"n8n","proxy":{"enabled":true`},
		{"POST", "/proxy/set/n8n", `{"enabled":false,"host":"","port":"","protocol":"","username":"","password":""}`, 201, `"enabled":false`},
		{"POST", "/instance/setPresence/n8n", `{"presence":"available"}`, 400, `not connected`},
		{"POST", "/instance/restart/n8n", "", 200, `"code":"<qr>"`},
		{"DELETE", "/instance/logout/n8n", "", 200, `"status":"SUCCESS"`},
		{"DELETE", "/instance/delete/n8n", "", 200, `"status":"SUCCESS"`},
		{"DELETE", "/instance/delete/full", "", 200, `"status":"SUCCESS"`},
	})
	// The node does not encode names.
	e.make("loja-são")
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.d.API.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /instance/connectionState/loja-são HTTP/1.1\r\nHost: x\r\napikey: %s\r\nConnection: close\r\n\r\n", e.key)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("a name that is not encoded: %d", response.StatusCode)
	}
}

// What the front end Manager v2 sends from the sign-in on, from a page of another
// origin, and what it needs of the answers.
func TestEvolutionAPIServesTheManager(t *testing.T) {
	e := evolutionSimulated(t)
	page := []string{"Origin", "https://manager.example.com"}
	preflight := e.as("", http.MethodOptions, "/instance/fetchInstances", "", append(page, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "apikey")...)
	if preflight.status != http.StatusNoContent || preflight.header.Get("Access-Control-Allow-Origin") != page[1] || preflight.header.Get("Access-Control-Allow-Headers") != "apikey" {
		t.Errorf("the preflight: %d %v", preflight.status, preflight.header)
	}
	const token = "8E5A4F0C-0B2C-4F57-9E0D-0E8A4B1C9D11"
	e.replay("", []step{{"GET", "/", "", 200, `"version":"2.3.7"`}}, page...)
	e.replay(e.key, []step{
		{"POST", "/verify-creds", `{}`, 200, `{"status":200,"message":"Credentials are valid"}`},
		{"GET", "/instance/fetchInstances", "", 200, `[]`},
		{"POST", "/instance/create", `{"instanceName":"desk","integration":"WHATSAPP-BAILEYS","token":"` + token + `"}`, 201, `"hash":"` + token + `"`},
		{"GET", "/instance/fetchInstances", "", 200, `"name":"desk","connectionStatus":"close"<text>"token":"` + token + `"<text>"_count":{"Message":0,"Contact":0,"Chat":0}`},
	}, page...)
	var rows []struct{ ID string }
	e.send(http.MethodGet, "/instance/fetchInstances", "").decode(&rows)
	phone := e.newPhone()
	e.replay(token, []step{ // it has the instance's token from the list
		{"GET", "/instance/fetchInstances?instanceId=" + rows[0].ID, "", 200, `[{"id":"` + rows[0].ID + `","name":"desk"`},
		{"GET", "/instance/connect/desk", "", 200, `"code":"<qr>"`},
		{"GET", "/instance/connect/desk?number=" + phone, "", 200, `"pairingCode":"<typed>"`},
		{"POST", "/instance/restart/desk", "", 200, `"code":"<qr>"`},
		{"GET", "/settings/find/desk", "", 200, `"rejectCall":false`},
		{"POST", "/settings/set/desk", `{"rejectCall":true,"msgCall":"","groupsIgnore":false,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false}`, 201, `"rejectCall":true`},
		{"GET", "/webhook/find/desk", "", 200, `null`},
		{"POST", "/webhook/set/desk", `{"webhook":{"enabled":false,"url":"","byEvents":false,"base64":false,"events":[]}}`, 201, `"enabled":false`},
		{"POST", "/webhook/set/desk", `{"webhook":{"enabled":true,"url":"https://example.com/m","byEvents":false,"base64":false,"events":["CALL"]}}`, 201, `"webhookByEvents":false,"webhookBase64":false`},
		{"GET", "/websocket/find/desk", "", 200, ``},
		{"GET", "/rabbitmq/find/desk", "", 200, ``},
		{"GET", "/sqs/find/desk", "", 200, ``},
		{"GET", "/proxy/find/desk", "", 200, `null`},
		{"POST", "/chat/findChats/desk", `{}`, 404, `"response":{"message":["<text>"]}`},
		{"POST", "/chat/findMessages/desk", `{}`, 404, `"response":{"message":["<text>"]}`},
		{"DELETE", "/instance/logout/desk", "", 200, `Instance logged out`},
	}, page...)
	// The list logs out with another instance's token, swallows the 401, and deletes with the global key.
	e.replay("another-token-than-this-one", []step{{"DELETE", "/instance/logout/desk", "", 401, `"message":"Unauthorized"`}}, page...)
	e.replay(e.key, []step{{"DELETE", "/instance/delete/desk", "", 200, `Instance deleted`}, {"GET", "/instance/fetchInstances", "", 200, `[]`}}, page...)
}

// A client that reads its answers strictly: types, literals and what may be null.
func TestEvolutionAPIListIsReadByStrictClients(t *testing.T) {
	e := evolutionSimulated(t)
	e.make("closed")
	e.make("linked").link()
	e.d.API.Want(http.StatusCreated, http.MethodPost, "/v1/instances", map[string]any{"name": "of max", "provider": "max"})
	e.d.API.Want(http.StatusCreated, http.MethodPost, "/v1/instances", map[string]any{"name": "made natively", "provider": "whatsapp"})
	var rows []map[string]any
	e.send(http.MethodGet, "/instance/fetchInstances", "").want(http.StatusOK).decode(&rows)
	if len(rows) != 4 {
		t.Fatalf("%d rows", len(rows))
	}
	oneOf := func(row map[string]any, member string, words ...string) {
		for _, w := range words {
			if row[member] == w {
				return
			}
		}
		t.Errorf("%v: %s is %v", row["name"], member, row[member])
	}
	for _, row := range rows {
		oneOf(row, "connectionStatus", "open", "close", "connecting")
		oneOf(row, "integration", "WHATSAPP-BAILEYS", "WHATSAPP-BUSINESS", "EVOLUTION")
		for _, member := range []string{"id", "name", "token", "clientName", "createdAt", "updatedAt"} {
			if text, ok := row[member].(string); !ok || text == "" {
				t.Errorf("%v: %s is %v", row["name"], member, row[member])
			}
		}
		counts, _ := json.Marshal(row["_count"])
		if string(counts) != `{"Chat":0,"Contact":0,"Message":0}` || len(row) != 24 {
			t.Errorf("%v: %d members, counts %s", row["name"], len(row), counts)
		}
	}
}

// job is the way of an instance through everything for which this face needs rights of its own.
func (e *evolution) job() {
	e.Helper()
	i := e.make("a job", `,"webhook":{"url":"https://example.com/job","headers":{"k":"v"},"events":[]}`)
	i.link()
	i.call(http.MethodPost, "/instance/setPresence", `{"presence":"available"}`).want(http.StatusCreated)
	for path, want := range map[string]string{
		"/instance/fetchInstances?instanceId=" + i.id: `"connectionStatus":"open"<text>"token":"` + i.token + `"`,
		"/webhook/find/" + i.path:                     `"headers":{"k":"v"}`,
		"/":                                           `"version":"2.3.7"`,
	} {
		e.replay(i.token, []step{{"GET", path, "", http.StatusOK, want}})
	}
	i.call(http.MethodPost, "/instance/restart", "").want(http.StatusOK)
	i.call(http.MethodDelete, "/instance/logout", "").want(http.StatusOK)
	i.call(http.MethodDelete, "/instance/delete", "").want(http.StatusOK)
}
