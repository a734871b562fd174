// Differences that are meant, each with its reason in docs/compared.md: a name, and lines of theirs (-) or of ours (+),
// perhaps only in steps of a name. What is left out here is shown, and counted.
const EXPLAINED = [
  ['occupant ids', /^- *<(occupant-id |feature var="urn:xmpp:occupant-id:0")/],
  ['presence of the focus', /^- *<(priority>0|etherpad |c hash="sha-1" node="http:\/\/jitsi.org\/jicofo|component name="focus">)|^\+ *<(component name="focus">|property key="visitors-enabled" value="false")|^[+-] *<property key="bridge-count"|^- *<presence from="\{(room|team)\}\/focus" to/],
  ['data channel', /^\+ *<(content creator="initiator" name="data"|description media="application"|sctpmap|content name="data">|transport |web-socket )|^\+ {0,10}<rtcp-mux>|^\+ {8,12}<candidate .*protocol="udp"/],
  ['ICE over TCP', /^\+ *<candidate .*protocol="tcp"/],
  ['cryptex and tracing', /^[-+] *<(fingerprint|traceparent)/],
  ['TURN in the metadata', /^- *<message from="metadata|^- *<json-message [^>]*>\{"metadata":\{[^}]*"services"|^- *<service |^\+ *<json-message [^>]*>\{"metadata":/],
  ['extensions of the stream', /^- *<(required|optional|session |sub |ver |c hash="sha-1" node="http:\/\/prosody.im"|sm xmlns="urn:xmpp:sm:2")/],
  ['extensions of the stream', /^- *<(starttls |sm xmlns="urn:xmpp:sm:3")/, /over BOSH$/],
  ['goodbyes over BOSH', /^- *<(error xmlns="http:\/\/etherx.jabber.org\/streams"|unsupported-stanza-type )/, /closes the stream, over BOSH$/],
  ['what the server itself says', /^- *<(identity>|user>|name>Boss)/],
  ['address of who did it', /^[-+] *<actor /],
  ['news of who is not there', /^- *<message from="\{room\}" to="\{\w+\}" xmlns/, /kicks Cyd|lets Cyd in/],
  ['forms', /^[-+] *<(field|value|desc|option|validate|title|instructions)\b/],
  ['features of rooms', /^- *<feature var="(http:\/\/jabber.org\/protocol\/(muc#(request|stable_id|unique)|commands)|jabber:iq:register|msgoffline)"|^[-+] *<identity /],
  ['service addresses', /^[-+] *<(feature|item jid)/, /^disco/],
  ['addresses of services answer', /^[-+] *<(iq from="focus|error |service-unavailable|query|identity)/, /^disco#info of focus/],
  ['conditions of refusals', /^[-+] *<(error type|service-unavailable|forbidden|not-allowed|bad-request|item-not-found|feature-not-implemented|unexpected-request|out-of-order|unknown-session|gone|resource-constraint|not-acceptable)/],
  ['result with an empty form', /^[-+] *<(iq from="\{room\}" id="own-\d+" to="\{Ann\}" type="result"|query xmlns="http:\/\/jabber.org\/protocol\/muc#owner")/],
  ['subjects', /^[-+] *<(subject|delay|message (from="\{(room|team)\}(\/\{Ann.nick\})?"|from="\{name\}@lobby[^"]*") (id="own-\d+" )?to="\{\w+\}" type="groupchat")/],
  ['names in the history', /^\+ *<display-name /],
  ['speaker statistics', /^[-+] *<(message from="speakerstats|json-message [^>]*>\{"type":"speakerstats")/],
  ['polls', /^[-+] *<json-message [^>]*>\{("answers"|"command":"old-polls")/],
  ['start muted after AV moderation', /^\+ *<message from="metadata/, /turns (AV moderation on|it off)/],
  ['white lists', /^[-+] *<json-message .*"whitelists"/],
  ['breakout rooms', /^[-+] *<json-message [^>]*>\{"event":"features\/breakout-rooms\/update"/],
  ['breakout rooms', /^- *<message from="breakout\.[^"]+" to="\{\w+\}"/, /^Bob (goes|comes back)/],
  ['affiliations beside the main room', /^[-+] *<item affiliation="(member|none)"/],
  ['a join from within', /^\+ *<(presence from="\{room\}\/\{Bob.nick\}"|iq from="\{room\}\/focus"|status code="100")/, /^Bob joins again/],
  ['invitations', /^[-+] *<message from="\{room\}" (id="own-\d+" )?to="\{Cyd\}" xmlns/, /lets Cyd in/],
  ['the asked stanza in an error', /^- *<x xmlns="http:\/\/jabber.org\/protocol\/muc">/],
  ['from client to client', /^[-+] *<(iq|message) (from="\{(Ann|Bob)\}" id="own-\d+" to=|from="\{room\}\/\{Ann.nick\}" id="(\{id\}|own-\d+)" to="\{Bob\}" type="get")/, /real address|between the two/],
  ['presence to nobody', /^- *<presence from="\{Ann\}" xmlns/, /^presence to nobody/],
  ['requests that are left unanswered', /^\+ *<iq from="(focus|\{room\}\/focus)/, /^a conference request|unknown action/],
  ['who is listed', /^- *<item affiliation="owner" jid="focus@/, /lists the members/],
  ['login', /^[-+] *<iq from="focus/, /^a log(out|in)/],
  ['end of a lobby guest', /^\+ *<iq from="\{name\}@lobby/, /turns Dan away/],
  ['a new session', /^[-+] *<iq from="\{room\}\/focus"/, /^Ann (says that ICE|accepts it|asks for a new)|^and at once|^Eve ends|^a session-info/],
  ['features asked for', /^[-+] *<query (node="[^"]*" )?xmlns="http:\/\/jabber.org\/protocol\/disco#info"/, /^Bob (goes|comes back)/],
  ['a lost connection', /^- *<status/, /closes the stream|cut off/],
];

/** The lines of `step` that are not meant; the names of the reasons go into `used`. */
export function unexplained(step, lines, used) {
  return lines.filter((line) => {
    const found = EXPLAINED.find(([, test, only]) => test.test(line) && (only === undefined || only.test(step)));
    if (found) used.set(found[0], (used.get(found[0]) ?? 0) + 1);
    return found === undefined;
  });
}

/** Steps in which several services speak at once: theirs send the occupants of a room in the order of a hash table. */
export const explainedOrder = (step) => / (comes|joins|comes back|joins again)|right one|lobby|ICE has failed/.test(step);
