// Draws a Grafana dashboard from what a Prometheus answers, as a page: panels in their grid, lines, legends, single values.
const COLOURS = ['#73bf69', '#f2cc0c', '#5794f2', '#ff780a', '#f2495c', '#b877d9', '#8ab8ff', '#ffb357'];
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [520, 195, 74, 18];

/** Every panel that shows something, with the series of its queries between two times (seconds since 1970). */
export async function read(dashboard, prometheus, from, to) {
  const panels = dashboard.panels.filter((panel) => panel.type !== 'row');
  return Promise.all(
    panels.map(async (panel) => {
      const series = await Promise.all(panel.targets.map((target) => query(prometheus, target, from, to)));
      return { panel, series: series.flat() };
    }),
  );
}

/** What Grafana fills in, for a scrape each second. */
async function query(prometheus, target, from, to) {
  const expression = target.expr.replaceAll('$__rate_interval', '5s').replaceAll('$instance', '.*');
  const parameters = new URLSearchParams({ query: expression, start: from, end: to, step: 1 });
  const answer = await (await fetch(`${prometheus}/api/v1/query_range?${parameters}`)).json();
  if (answer.status !== 'success') throw new Error(`${expression}: ${answer.error}`);
  return answer.data.result.map(({ metric, values }) => ({
    name: (target.legendFormat ?? '').replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? ''),
    points: values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value)),
  }));
}

/** The page of a dashboard, of what `read` gave. */
export function page(dashboard, panels, from, to) {
  const rows = dashboard.panels.filter((panel) => panel.type === 'row').map((row) => box(row.gridPos, `<h2>${escape(row.title)}</h2>`, 'row'));
  const drawn = panels.map(({ panel, series }) => {
    const body = panel.type === 'stat' ? value(panel, series) : lines(panel, series, from, to);
    return box(panel.gridPos, `<h3>${escape(panel.title)}</h3>${body}`, 'panel');
  });
  return `<!doctype html><meta charset="utf-8"><title>${escape(dashboard.title)}</title><style>${STYLE}</style>
<h1>${escape(dashboard.title)}</h1><main>${[...rows, ...drawn].join('\n')}</main>`;
}

function box({ x, y, w, h }, body, kind) {
  return `<section class="${kind}" style="grid-area: ${y + 1} / ${x + 1} / span ${h} / span ${w}">${body}</section>`;
}

function value(panel, series) {
  const last = series[0]?.points.at(-1)?.[1];
  const { unit, thresholds } = panel.fieldConfig.defaults;
  const step = thresholds?.steps.filter((step) => step.value === null || last >= step.value).at(-1);
  return `<p class="value" style="color: ${step?.color ?? '#73bf69'}">${last === undefined ? 'No data' : format(last, unit)}</p>`;
}

function lines(panel, series, from, to) {
  const { unit, max } = panel.fieldConfig.defaults;
  const top = max ?? (Math.max(0, ...series.flatMap(({ points }) => points.map(([, value]) => value))) * 1.1 || 1);
  const x = (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - 6);
  const y = (value) => 6 + (1 - value / top) * (HEIGHT - BOTTOM - 6);
  const grid = [0, 0.5, 1].map((part) => {
    const level = y(part * top);
    return `<line x1="${LEFT}" x2="${WIDTH - 6}" y1="${level}" y2="${level}" stroke="#333"/><text x="${LEFT - 6}" y="${level + 4}" text-anchor="end">${format(part * top, unit)}</text>`;
  });
  const times = [0, 0.5, 1].map((part) => `<text x="${x(from + part * (to - from))}" y="${HEIGHT - 3}" text-anchor="${['start', 'middle', 'end'][part * 2]}">${Math.round(part * (to - from))} s</text>`);
  const paths = series.map(({ points }, at) => {
    const path = points.map(([time, value], n) => `${n && time - points[n - 1][0] <= 2 ? 'L' : 'M'}${x(time).toFixed(1)} ${y(Math.min(value, top)).toFixed(1)}`).join('');
    return `<path d="${path}" fill="none" stroke="${COLOURS[at % COLOURS.length]}" stroke-width="1.5"/>`;
  });
  const legend = series.map(({ name, points }, at) => `<span style="color: ${COLOURS[at % COLOURS.length]}">${escape(name)} ${points.length ? format(points.at(-1)[1], unit) : ''}</span>`);
  const nothing = series.some(({ points }) => points.length) ? '' : `<text x="${WIDTH / 2}" y="${HEIGHT / 2}" text-anchor="middle" class="nothing">No data</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}">${[...grid, ...times, ...paths, nothing].join('')}</svg><div class="legend">${legend.join('')}</div>`;
}

/** A number in a unit of Grafana's. */
function format(number, unit) {
  const scaled = (steps) => {
    const [factor, name] = steps.find(([factor]) => Math.abs(number) >= factor) ?? steps.at(-1);
    return `${Number((number / factor).toPrecision(3))}${name}`;
  };
  const thousands = (name) => [[1e9, ` G${name}`], [1e6, ` M${name}`], [1e3, ` k${name}`], [1, ` ${name}`]];
  switch (unit) {
    case 's': return number === 0 ? '0 s' : scaled([[3600, ' h'], [60, ' min'], [1, ' s'], [1e-3, ' ms'], [1e-6, ' µs'], [1e-9, ' ns']]);
    case 'bps': return scaled(thousands('b/s'));
    case 'pps': return scaled(thousands('p/s'));
    case 'ops': return scaled(thousands('ops/s'));
    case 'percentunit': return `${Number((100 * number).toPrecision(3))}%`;
    case 'short': return scaled([[1e6, ' M'], [1e4, ' k'], [1, '']]);
    default: throw new Error(`a unit that is not drawn here: ${unit}`);
  }
}

function escape(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = `
body { margin: 12px; background: #111217; color: #ccccdc; font: 13px/1.35 sans-serif; }
h1 { font-size: 19px; margin: 0 0 10px; } h2 { font-size: 15px; margin: 6px 2px; } h3 { font-size: 13px; margin: 0 0 2px; }
main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 30px; gap: 6px; }
.panel { background: #181b1f; border: 1px solid #2c3235; border-radius: 3px; padding: 6px 8px; overflow: hidden; }
.value { font-size: 34px; margin: 18px 0 0; text-align: center; }
svg { width: 100%; display: block; } text { fill: #9a9da3; font-size: 11px; } .nothing { font-size: 16px; fill: #f2495c; }
.legend { display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 12px; }`;
