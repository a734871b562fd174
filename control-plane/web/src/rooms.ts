/** Meetings this browser has been to, and names for new ones. */

const RECENT_KEY = 'sluice.recent';
const NAME_KEY = 'sluice.name';
const RECENT_LIMIT = 6;

export interface RecentRoom {
  room: string;
  at: number;
}

export function recentRooms(): RecentRoom[] {
  try {
    const list = JSON.parse(localStorage.getItem(RECENT_KEY) ?? '[]') as RecentRoom[];
    return Array.isArray(list) ? list.filter((entry) => typeof entry?.room === 'string').slice(0, RECENT_LIMIT) : [];
  } catch {
    return [];
  }
}

export function rememberRoom(room: string): void {
  const others = recentRooms().filter((entry) => entry.room !== room);
  localStorage.setItem(RECENT_KEY, JSON.stringify([{ room, at: Date.now() }, ...others].slice(0, RECENT_LIMIT)));
}

export function forgetRoom(room: string): void {
  localStorage.setItem(RECENT_KEY, JSON.stringify(recentRooms().filter((entry) => entry.room !== room)));
}

export function ownName(): string {
  return localStorage.getItem(NAME_KEY) ?? '';
}

export function rememberName(name: string): void {
  localStorage.setItem(NAME_KEY, name);
}

const FIRST = ['amber', 'brisk', 'calm', 'clear', 'early', 'gentle', 'golden', 'lucid', 'mellow', 'quiet', 'silver', 'steady', 'sunny', 'swift', 'warm', 'wide'];
const SECOND = ['brook', 'canal', 'creek', 'delta', 'estuary', 'ferry', 'harbour', 'inlet', 'lagoon', 'lock', 'meadow', 'river', 'shore', 'spring', 'tide', 'weir'];

/** A name that is easy to say and hard to guess. */
export function suggestedRoom(): string {
  const random = crypto.getRandomValues(new Uint32Array(3));
  return `${FIRST[random[0]! % FIRST.length]}-${SECOND[random[1]! % SECOND.length]}-${1000 + (random[2]! % 9000)}`;
}
