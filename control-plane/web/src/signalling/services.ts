/** TURN servers that the deployment names (XEP-0215). */
import type { Connection } from './connection.ts';
import * as ns from './ns.ts';
import { child, children, el } from './xml.ts';

/** Empty if the server has none or does not answer in time. */
export async function turnServers(connection: Connection, domain: string): Promise<RTCIceServer[]> {
  try {
    const answer = await connection.request('get', domain, el('services', { xmlns: ns.EXTDISCO }), 5_000);
    const services = child(answer, 'services', ns.EXTDISCO);
    if (services === undefined) return [];
    return children(services, 'service')
      .map((service) => service.attributes)
      .filter((service) => (service.type === 'turn' || service.type === 'turns') && service.host && service.username && service.password)
      .map((service) => ({
        urls: `${service.type}:${service.host}${service.port ? `:${service.port}` : ''}${service.transport ? `?transport=${service.transport}` : ''}`,
        username: service.username!,
        credential: service.password!,
      }));
  } catch {
    return [];
  }
}
