/** Which rows are selected, by their ids. */
export interface Selection {
  ids: ReadonlySet<string>;
  /** Where a range begins: the row that was last clicked. */
  anchor: string | null;
  /** Not these rows, but whatever matches the filter when it is asked for. */
  byFilter: boolean;
}

export const nothingSelected: Selection = { ids: new Set(), anchor: null, byFilter: false };

/** A row, or all from the anchor to it; both ends included. What cannot be selected is left out. */
export function select(selection: Selection, id: string, on: boolean, range: boolean, order: readonly string[], may: (id: string) => boolean): Selection {
  const ids = new Set(selection.byFilter ? order.filter(may) : selection.ids);
  const from = range && selection.anchor !== null ? order.indexOf(selection.anchor) : -1;
  const to = order.indexOf(id);
  const meant = from < 0 || to < 0 ? [id] : order.slice(Math.min(from, to), Math.max(from, to) + 1);
  for (const each of meant) {
    if (on && may(each)) ids.add(each);
    else ids.delete(each);
  }
  return { ids, anchor: id, byFilter: false };
}

/** All rows that are shown. */
export function selectAll(order: readonly string[], may: (id: string) => boolean): Selection {
  return { ids: new Set(order.filter(may)), anchor: null, byFilter: false };
}

/** How many of the shown rows that can be selected are: none, some or all. */
export function extent(selection: Selection, order: readonly string[], may: (id: string) => boolean): 'none' | 'some' | 'all' {
  let able = 0;
  let on = 0;
  for (const id of order) {
    if (!may(id)) continue;
    able += 1;
    if (selection.byFilter || selection.ids.has(id)) on += 1;
  }
  return on === 0 ? 'none' : on === able ? 'all' : 'some';
}
