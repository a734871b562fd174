/** Inline SVG icons, 24 by 24, drawn with the current colour. */

const paths = {
  mic: '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
  micOff: '<path d="M15 10.5V6a3 3 0 0 0-5.8-1.1M9 9v2a3 3 0 0 0 4.6 2.5M5.5 11.5a6.5 6.5 0 0 0 10.3 5.3M18.5 11.5a6.5 6.5 0 0 1-.6 2.7M12 18v3M4 4l16 16"/>',
  camera: '<rect x="3" y="6.5" width="12.5" height="11" rx="2.5"/><path d="m15.5 10.7 5-2.9v8.4l-5-2.9"/>',
  cameraOff: '<path d="M10.5 6.5H13a2.5 2.5 0 0 1 2.5 2.5v1.7l5-2.9v8.4l-3-1.7M15.3 15.8A2.5 2.5 0 0 1 13 17.5H5.5A2.5 2.5 0 0 1 3 15V9a2.5 2.5 0 0 1 2.3-2.5M4 4l16 16"/>',
  share: '<rect x="3" y="4.5" width="18" height="12" rx="2.5"/><path d="M8.5 20h7M12 13.5v-6M9.3 10 12 7.3l2.7 2.7"/>',
  grid: '<rect x="3.5" y="4.5" width="7.5" height="6.5" rx="1.6"/><rect x="13" y="4.5" width="7.5" height="6.5" rx="1.6"/><rect x="3.5" y="13" width="7.5" height="6.5" rx="1.6"/><rect x="13" y="13" width="7.5" height="6.5" rx="1.6"/>',
  speaker: '<rect x="3.5" y="4.5" width="17" height="9.5" rx="2"/><rect x="3.5" y="16.5" width="4.5" height="3.5" rx="1"/><rect x="9.75" y="16.5" width="4.5" height="3.5" rx="1"/><rect x="16" y="16.5" width="4.5" height="3.5" rx="1"/>',
  chat: '<path d="M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.6 3.7c-.4.3-.9 0-.9-.5V16A2.5 2.5 0 0 1 4 13.5z"/>',
  people: '<circle cx="9" cy="8.5" r="3.5"/><path d="M2.8 19.5c.4-3.3 3-5.3 6.2-5.3s5.8 2 6.2 5.3M15.5 5.3a3.5 3.5 0 0 1 0 6.4M17.5 14.6c2 .7 3.4 2.4 3.7 4.9"/>',
  settings: '<path d="M4 7.5h9M17.5 7.5H20M4 16.5h2.5M11 16.5h9"/><circle cx="15.2" cy="7.5" r="2.2"/><circle cx="8.8" cy="16.5" r="2.2"/>',
  leave: '<path d="M3.2 14.9c-.5-1-.4-2.2.4-3C5.9 9.6 8.9 8.4 12 8.4s6.1 1.2 8.4 3.5c.8.8.9 2 .4 3l-.4.9c-.3.6-1 .9-1.6.6l-2.7-1c-.5-.2-.9-.7-.9-1.3v-1.5c-2.1-.7-4.3-.7-6.4 0v1.5c0 .6-.4 1.1-.9 1.3l-2.7 1c-.6.2-1.3 0-1.6-.6z" fill="currentColor" stroke="none"/>',
  help: '<circle cx="12" cy="12" r="8.5"/><path d="M9.6 9.6a2.5 2.5 0 1 1 3.7 2.2c-.8.5-1.3 1-1.3 1.9M12 16.6v.1"/>',
  close: '<path d="m6.5 6.5 11 11M17.5 6.5l-11 11"/>',
  send: '<path d="M4.5 12 4 5.2c0-.6.6-1 1.1-.8l15 7c.6.3.6 1 0 1.2l-15 7c-.5.2-1.1-.2-1.1-.8zm0 0h7"/>',
  pin: '<path d="M9 4h6l-.7 6 3.2 3.5h-11L9.7 10zM12 13.5V20"/>',
  link: '<path d="M10 14a4 4 0 0 0 5.9.2l2.4-2.4a4 4 0 0 0-5.6-5.7l-1.3 1.2M14 10a4 4 0 0 0-5.9-.2l-2.4 2.4a4 4 0 0 0 5.6 5.7l1.3-1.2"/>',
  more: '<circle cx="5.5" cy="12" r="1.3" fill="currentColor"/><circle cx="12" cy="12" r="1.3" fill="currentColor"/><circle cx="18.5" cy="12" r="1.3" fill="currentColor"/>',
  left: '<path d="m14.5 6-6 6 6 6"/>',
  right: '<path d="m9.5 6 6 6-6 6"/>',
  signal: '<path d="M5 18v-3M10 18v-6M15 18V9M20 18V6"/>',
  remove: '<circle cx="9.5" cy="8.5" r="3.5"/><path d="M3.3 19.5c.4-3.3 3-5.3 6.2-5.3 1.2 0 2.3.3 3.3.8M16 17.5h5"/>',
  logo: '<rect width="24" height="24" rx="7" fill="var(--accent)" stroke="none"/><path d="M4.5 8.3c2.5-2.3 5-2.3 7.5 0s5 2.3 7.5 0M4.5 12.8c2.5-2.3 5-2.3 7.5 0s5 2.3 7.5 0M4.5 17.3c2.5-2.3 5-2.3 7.5 0s5 2.3 7.5 0" stroke="#03211e" stroke-width="2"/>',
} as const;

export type IconName = keyof typeof paths;

/** A fresh decorative SVG element; the control that holds it carries the label. */
export function icon(name: IconName): SVGSVGElement {
  const holder = document.createElement('template');
  holder.innerHTML = `<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">${paths[name]}</svg>`;
  return holder.content.firstElementChild as SVGSVGElement;
}
