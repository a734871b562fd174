// Differences that are meant, each with its reason in docs/compared.md: lines of theirs (-) or ours (+) that are left out of the count.
export const EXPLAINED = [
  ['occupant-id', /^- *<occupant-id /],
  ['focus presence', /^- *<(priority>0|etherpad |c hash="sha-1" node="http:\/\/jitsi.org\/jicofo|component name="focus">)|^\+ *<(component name="focus">|property key="visitors-enabled" value="false")/],
  ['no data channel there', /^\+ *<(content creator="initiator" name="data"|description media="application"|sctpmap|content name="data">)|^\+ {0,10}<rtcp-mux>/],
  ['ICE over TCP', /^\+ *<candidate .*protocol="tcp"/],
  ['cryptex and tracing', /^[-+] *<(fingerprint|traceparent)/],
  ['TURN in the metadata', /^- *<message from="metadata|^- *<json-message [^>]*>\{"metadata":\{"services"/],
  ['older extensions of the stream', /^- *<(required|optional|session|sub|c hash="sha-1" node="http:\/\/prosody.im"|sm xmlns="urn:xmpp:sm:2")/],
];

/** The lines without those that are meant, and the names of the reasons that were used. */
export function unexplained(lines, used) {
  return lines.filter((line) => {
    const found = EXPLAINED.find(([, test]) => test.test(line));
    if (found) used.add(found[0]);
    return found === undefined;
  });
}
