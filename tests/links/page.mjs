// What is done to our own page before it opens: a camera that is hard to encode, a codec and its layers, no repair; and what
// the browser says of what it received.
import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A moving picture with grain, so that encoders use the rate that they may: two seconds that repeat. */
export function cameraFile({ width, height, fps }) {
  const path = join(tmpdir(), `sluice-links-${width}x${height}-${fps}.y4m`);
  if (existsSync(path)) return path;
  const file = openSync(`${path}.${process.pid}`, 'w');
  writeSync(file, `YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420jpeg\n`);
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  const block = 16;
  const columns = Math.ceil((width * 2) / block);
  const texture = Uint8Array.from({ length: columns * Math.ceil(height / block) }, random);
  const chroma = Buffer.alloc((width * height) / 2, 128);
  for (let frame = 0; frame < fps * 2; frame++) {
    const luma = Buffer.alloc(width * height);
    const shift = Math.floor((frame * width) / (fps * 2));
    for (let y = 0; y < height; y++) {
      const row = Math.floor(y / block) * columns;
      for (let x = 0; x < width; x++) {
        luma[y * width + x] = 40 + (texture[row + Math.floor((x + shift) / block)] >> 1) + (random() >> 4);
      }
    }
    writeSync(file, 'FRAME\n');
    writeSync(file, luma);
    writeSync(file, chroma);
  }
  closeSync(file);
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

/**
 * `camera`: { width, height, fps }; `codec`: the one to send; `layers`: 'simulcast', or a scalability mode for one stream, null
 * for what the client does by itself;
 * `repair`: false offers neither retransmission nor redundancy; `all`: true sends every layer whether somebody wants it or not;
 * `together`: true takes all sound and pictures for one stream, which a browser plays in step, and only then says when.
 */
export async function preparePage(page, { camera = null, codec = null, layers = null, repair = true, all = false, together = false } = {}) {
  await page.addInitScript(alter, { camera, codec, layers, repair, all, together });
}

/** Runs in the page. */
function alter({ camera, codec, layers, repair, all, together }) {
  let config;
  Object.defineProperty(window, 'config', {
    get: () => config,
    set: (told) => (config = codec === null ? told : { ...told, sluice: { ...told.sluice, codecPreferenceOrder: [codec] } }),
  });
  if (camera !== null && navigator.mediaDevices) {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const size = { width: { ideal: camera.width }, height: { ideal: camera.height }, frameRate: { ideal: camera.fps, max: camera.fps } };
    navigator.mediaDevices.getUserMedia = (wanted) => open(wanted.video ? { ...wanted, video: { ...wanted.video, ...size } } : wanted);
  }
  if (!repair) {
    // What the page does not say it plays is not sent to it: redundancy taken from the offer alone would come all the same.
    const told = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
    RTCRtpReceiver.getCapabilities = (kind) => ({ ...told(kind), codecs: told(kind).codecs.filter(({ mimeType }) => !/\/red$/i.test(mimeType)) });
  }
  window.connections = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...words) {
      super(...words);
      window.connections.push(this);
    }
    setRemoteDescription(description) {
      const repaired = repair ? description.sdp : withoutRepair(description.sdp);
      const sdp = together ? repaired.replace(/( msid|^a=msid):remote-\S+/gm, '$1:together') : repaired;
      return super.setRemoteDescription({ type: description.type, sdp });
    }
    setLocalDescription(description) {
      const grouped = layers === 'simulcast' && description?.sdp ? { type: description.type, sdp: withGroup(description.sdp) } : description;
      return super.setLocalDescription(grouped);
    }
  };
  const setParameters = RTCRtpSender.prototype.setParameters;
  RTCRtpSender.prototype.setParameters = function (parameters) {
    if (this.track?.kind === 'video' && layers !== null) {
      parameters.encodings.forEach((encoding, at, { length }) => {
        encoding.scalabilityMode = layers === 'simulcast' ? 'L1T3' : layers;
        // Where a mode is named, an encoding that is alone is as large as the camera unless told.
        if (layers === 'simulcast') encoding.scaleResolutionDownBy = 2 ** (length - 1 - at);
      });
    }
    if (this.track?.kind === 'video' && all) {
      parameters.encodings.forEach((encoding, at, { length }) => {
        encoding.active = true;
        encoding.scaleResolutionDownBy = 2 ** (length - 1 - at);
      });
    }
    // A machine that is short of time must not pass for a link that is short of bits.
    const firm = { ...parameters, degradationPreference: 'maintain-framerate-and-resolution' };
    return setParameters.call(this, firm).catch(() => setParameters.call(this, parameters));
  };

  function withoutRepair(sdp) {
    const gone = [...sdp.matchAll(/^a=rtpmap:(\d+) (?:rtx|red)\//gm)].map((match) => match[1]);
    return sdp
      .split('\r\n')
      .filter((line) => !gone.some((id) => new RegExp(`^a=(rtpmap|fmtp|rtcp-fb):${id} `).test(line)))
      .filter((line) => !/^a=rtcp-fb:\d+ nack$/.test(line) && !line.startsWith('a=ssrc-group:FID'))
      .map((line) => (/^m=(audio|video)/.test(line) ? line.split(' ').filter((word, at) => at < 3 || !gone.includes(word)).join(' ') : line))
      .join('\r\n');
  }

  /** Three streams in a SIM group for the camera's line, as stock clients ask for with every codec. */
  function withGroup(sdp) {
    const sections = sdp.split(/(?=^m=)/m);
    const at = sections.findIndex((section) => /^a=mid:1\s*$/m.test(section));
    const section = sections[at];
    if (section === undefined || /^a=ssrc-group:SIM /m.test(section)) return sdp;
    const [, first, second] = /^a=ssrc-group:FID (\d+) (\d+)/m.exec(section) ?? [];
    const cname = /^a=ssrc:\d+ cname:(\S+)/m.exec(section)?.[1];
    if (first === undefined || cname === undefined) return sdp;
    const msid = /^a=msid:(.*?)\s*$/m.exec(section)?.[1];
    const pairs = [0, 1, 2].map((layer) => [Number(first) + layer, Number(second) + layer].map((ssrc) => ssrc >>> 0));
    const lines = [
      `a=ssrc-group:SIM ${pairs.map((pair) => pair[0]).join(' ')}`,
      ...pairs.map((pair) => `a=ssrc-group:FID ${pair.join(' ')}`),
      ...pairs.flat().flatMap((ssrc) => [`a=ssrc:${ssrc} cname:${cname}`, ...(msid ? [`a=ssrc:${ssrc} msid:${msid}`] : [])]),
    ];
    sections[at] = `${section.replace(/^a=ssrc(-group)?:.*\r?\n/gm, '').replace(/(\r?\n)*$/, '\r\n')}${lines.join('\r\n')}\r\n`;
    return sections.join('');
  }
}

/** Everything that the browser reports of streams received: `{ at, video: [report…], audio: [report…], codecs }`. */
export async function received(participant) {
  return participant.ask('what it received', async () => {
    const result = { at: Date.now(), video: [], audio: [], outbound: [], codecs: {} };
    const connection = window.connections.at(-1);
    if (connection === undefined) return result;
    (await connection.getStats()).forEach((report) => {
      if (report.type === 'codec') result.codecs[report.id] = report.mimeType;
      if (report.type === 'outbound-rtp' && report.kind === 'video') result.outbound.push({ ...report });
      if (report.type === 'inbound-rtp') result[report.kind].push({ ...report });
    });
    return result;
  });
}
