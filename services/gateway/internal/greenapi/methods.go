package greenapi

import (
	"net/http"
	"strings"
)

// method is a method of the product.
type method struct {
	name string
	verb string
	// whatsapp and max are the requests per second that an instance of the messenger
	// may make of it.
	whatsapp, max float64
	// serve is nil for a method that this server does not offer.
	serve func(a *API, w http.ResponseWriter, r *http.Request, c *called) error
}

// Names of routes that belong to no method.
const (
	routePreflight = "/waInstance{id}/{preflight}"
	routePage      = "/waInstance{id}/{token}"
	routeUnknown   = "/waInstance{id}/{unknown}"
)

func (m *method) route() string { return "/waInstance{id}/" + m.name + "/{token}" }

// offered are the methods of instances that are served. Where the product gives
// a method of one messenger no rate, it has the other's.
var offered = []method{
	{"getSettings", http.MethodGet, 1, 1, (*API).getSettings},
	{"setSettings", http.MethodPost, 1, 1, (*API).setSettings},
	{"getStateInstance", http.MethodGet, 1, 1, (*API).getStateInstance},
	{"getStatusInstance", http.MethodGet, 1, 1, (*API).getStatusInstance},
	{"getStateInstanceHistory", http.MethodGet, 1, 1, (*API).getStateInstanceHistory},
	{"reboot", http.MethodGet, 1, 1, (*API).reboot},
	{"logout", http.MethodGet, 1, 1, (*API).logout},
	{"updateApiToken", http.MethodGet, 1, 1, (*API).updateToken},
	{"qr", http.MethodGet, 3, 1, (*API).qr},
	{"scanqrcode", http.MethodGet, 1, 1, (*API).scanQRCode},
	{"getAuthorizationCode", http.MethodPost, 50, 50, (*API).getAuthorizationCode},
	{"startAuthorization", http.MethodPost, 1, 1, (*API).startAuthorization},
	{"sendAuthorizationCode", http.MethodPost, 1, 1, (*API).sendAuthorizationCode},
	{"sendAuthorizationPassword", http.MethodPost, 1, 1, (*API).sendAuthorizationPassword},
	{"getWaSettings", http.MethodGet, 1, 1, (*API).getWaSettings},
	{"getAccountSettings", http.MethodGet, 1, 1, (*API).getAccountSettings},
	{"receiveNotification", http.MethodGet, 100, 100, (*API).receiveNotification},
	{"deleteNotification", http.MethodDelete, 100, 100, (*API).deleteNotification},
	{"getWebhooksCount", http.MethodGet, 1, 1, (*API).getWebhooksCount},
	{"clearWebhooksQueue", http.MethodDelete, 1, 1, (*API).clearWebhooksQueue},
}

// elsewhere are the product's other methods of instances: messages, chats, contacts,
// groups and stories, and the setting of an account's password and picture. They are
// told apart from what does not exist.
var elsewhere = []string{
	"addContact", "addGroupParticipant", "archiveChat", "checkAccount", "checkWhatsapp", "clearMessagesQueue", "createGroup",
	"deleteContact", "deleteMessage", "deleteStatus", "downloadFile", "editContact", "editMessage", "forwardMessages",
	"getAuthorizationPasswordStatus", "getAvatar", "getChatHistory", "getChats", "getContactInfo", "getContacts", "getDeviceInfo",
	"getGroupData", "getIncomingStatuses", "getMessage", "getMessagesCount", "getOutgoingStatuses", "getStatusStatistic",
	"lastIncomingMessages", "lastOutgoingMessages", "leaveGroup", "readChat", "removeAdmin", "removeGroupParticipant",
	"sendButtons", "sendContact", "sendFileByUpload", "sendFileByUrl", "sendInteractiveButtons", "sendInteractiveButtonsReply",
	"sendLink", "sendListButtons", "sendListMessage", "sendLocation", "sendMediaStatus", "sendMessage", "sendPoll",
	"sendTemplateButtons", "sendTextStatus", "sendTyping", "sendVoiceStatus", "setAuthorizationPassword", "setDisappearingChat",
	"setGroupAdmin", "setGroupPicture", "setProfilePicture", "showMessagesQueue", "unarchiveChat", "updateGroupName",
	"updateGroupSettings", "uploadFile",
}

// methods has every known method by its name in lower case: documentation and
// clients of the product spell them in several ways.
var methods map[string]*method

// It refers to the handlers, which refer to it.
func init() {
	methods = make(map[string]*method, len(offered)+len(elsewhere))
	for i := range offered {
		methods[strings.ToLower(offered[i].name)] = &offered[i]
	}
	for _, name := range elsewhere {
		methods[strings.ToLower(name)] = &method{name: name}
	}
}

func methodNamed(name string) (*method, bool) {
	m, ok := methods[strings.ToLower(name)]
	return m, ok
}
