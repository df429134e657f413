package seal

// The additional data of the stored fields that one service seals and another
// opens, in one place so that both agree.

// ForToken is for InstanceRecord.sealed_token: the token as it was shown.
func ForToken(instanceID string) AAD { return For(PurposeToken, instanceID) }

// ForProxyPassword is for InstanceRecord.sealed_proxy_password: the password as it was given.
func ForProxyPassword(instanceID string) AAD { return For(PurposeProxy, instanceID) }

// ForWebhookSecret is for each of EndpointRecord.sealed_secrets: the whole
// text of the secret, "whsec_" included.
func ForWebhookSecret(webhookID string) AAD { return For(PurposeWebhook, webhookID) }

// ForWebhookHeaders is for EndpointRecord.sealed_headers: a JSON object of
// header names and values; the field is empty where there are none.
func ForWebhookHeaders(webhookID string) AAD { return For(PurposeWebhook, webhookID+"/headers") }

// ForReply is for IdempotencyRecord.sealed_reply: the reply in binary protobuf.
func ForReply(instanceID string) AAD { return For(PurposeReply, instanceID) }

// ForKeyCheck is for the known text by which a wrong master key is found out.
func ForKeyCheck() AAD { return For(PurposeKeyCheck, "deployment") }
