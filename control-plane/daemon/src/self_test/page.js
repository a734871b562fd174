'use strict';
// Sends connectivity checks to each address of the server, one connection each, and says which came back.
// The outcome stands in `document.body.dataset.outcome` and in `window.selfTest` for whoever drives the page.

const WAIT_MS = 10000;

async function run() {
  const { ufrag, pwd, targets } = await (await fetch('/selftest/targets.json')).json();
  const rows = document.getElementById('rows');
  const results = await Promise.all(targets.map(async (target) => {
    const row = rows.insertRow();
    row.insertCell().textContent = target.protocol.toUpperCase();
    row.insertCell().textContent = `${target.address.includes(':') ? `[${target.address}]` : target.address}:${target.port}`;
    const cell = row.insertCell();
    cell.textContent = '…';
    const milliseconds = await reach(target, ufrag, pwd).catch(() => null);
    cell.textContent = milliseconds === null ? (isLocal(target.address) ? 'not reached (a local address)' : 'not reached') : `reached in ${milliseconds} ms`;
    cell.className = milliseconds === null ? (isLocal(target.address) ? 'aside' : 'bad') : 'good';
    return { ...target, milliseconds };
  }));
  conclude(results);
}

/** Milliseconds until a check was answered, or null. */
async function reach(target, ufrag, pwd) {
  const peer = new RTCPeerConnection();
  try {
    peer.createDataChannel('selftest');
    await peer.setLocalDescription(await peer.createOffer());
    const began = performance.now();
    await peer.setRemoteDescription({ type: 'answer', sdp: answer(target, ufrag, pwd, peer.localDescription.sdp) });
    const reached = await new Promise((resolve) => {
      const look = () => {
        if (['connected', 'completed'].includes(peer.iceConnectionState)) resolve(true);
        if (['failed', 'closed'].includes(peer.iceConnectionState)) resolve(false);
      };
      peer.addEventListener('iceconnectionstatechange', look);
      setTimeout(() => resolve(false), WAIT_MS);
      look();
    });
    return reached ? Math.round(performance.now() - began) : null;
  } finally {
    peer.close();
  }
}

/** What the server would answer, with one candidate only. Nobody has the key of this fingerprint: no session comes of it. */
function answer(target, ufrag, pwd, offer) {
  const mid = /^a=mid:(.*)$/m.exec(offer)?.[1].trim() ?? '0';
  const place = `${target.address} ${target.port} typ host`;
  const candidate = target.protocol === 'tcp' ? `tcp 1518280447 ${place} tcptype passive` : `udp 2130706431 ${place}`;
  return [
    'v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', `a=group:BUNDLE ${mid}`, 'a=ice-lite',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', `a=mid:${mid}`,
    `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, `a=fingerprint:sha-256 ${Array(32).fill('00').join(':')}`,
    'a=setup:passive', 'a=sctp-port:5000', `a=candidate:1 1 ${candidate}`, 'a=end-of-candidates', '',
  ].join('\r\n');
}

/** RFC 1918, RFC 4193, link-local, loopback, shared address space. */
function isLocal(address) {
  return /^(10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd]|fe[89ab]|::1$)/i.test(address);
}

function conclude(results) {
  const reached = (protocol) => results.some((result) => result.protocol === protocol && result.milliseconds !== null);
  const offered = (protocol) => results.some((result) => result.protocol === protocol);
  const port = (protocol) => results.find((result) => result.protocol === protocol)?.port;
  const [udp, tcp] = [reached('udp'), reached('tcp')];
  const onlyLocal = results.every((result) => isLocal(result.address));
  let verdict = 'Yes: UDP reaches the server. Meetings work well from here.';
  let advice = '';
  if (!udp && tcp) {
    verdict = 'Yes, but over TCP only.';
    advice = `Meetings work, with more delay when the network is busy. Cause: UDP port ${port('udp')} is blocked, here or at the server. Open it in the firewall in front of the server, or ask whoever runs this network.`;
  } else if (!udp) {
    verdict = 'No: neither audio nor video reaches the server.';
    advice = onlyLocal
      ? 'Cause: the server tells only addresses of a local network. If a router or cloud forwards a public address to it, name that address in media.public_addresses.'
      : `Cause: UDP port ${port('udp')}${offered('tcp') ? ` and TCP port ${port('tcp')} are` : ' is'} blocked, or the addresses below are not the server's. Open the port${offered('tcp') ? 's' : ''} in the firewall and in the router in front of the server, and compare media.public_addresses. Until then two people may hear each other directly, and a third breaks it.`;
  } else if (offered('tcp') && !tcp) {
    advice = `The fallback for networks without UDP, TCP port ${port('tcp')}, is not reached: open it in the firewall.`;
  }
  const line = document.getElementById('verdict');
  line.textContent = verdict;
  line.className = udp ? 'good' : tcp ? '' : 'bad';
  document.getElementById('advice').textContent = advice;
  window.selfTest = { udp, tcp, verdict, advice, results };
  document.body.dataset.outcome = udp ? 'udp' : tcp ? 'tcp' : 'none';
}

run().catch((error) => {
  document.getElementById('verdict').textContent = `The test could not run: ${error.message}`;
  document.body.dataset.outcome = 'error';
});
