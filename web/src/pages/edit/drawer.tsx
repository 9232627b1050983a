import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { listMetrics, messageOf } from "../../api/client";
import type { Metric, Widget, WidgetCost } from "../../api/types";
import { AGGREGATIONS } from "../../model/aggregations";
import { CHARTS } from "../../model/dashboard";
import { nameOf, type PathText } from "../../model/draft";
import { formatOne } from "../../model/number";
import { isObject, type JsonObject } from "../../model/merge-patch";
import { filterOf, getAt, OPERATORS, rowsOf, setAt, shapeFault, tabOf, TABS, type FilterRow, type Operator, type Tab } from "../../model/widget-form";
import { Field, SelectField, TextField } from "../../ui/field";
import { Combo, Multi, NumberField, Rows, walk, type Choice } from "./fields";

const LEVELS = ["ok", "warn", "crit"];
const CATALOG_WAIT_MS = 150;
/** A metric may arrive while the drawer is open. */
const CATALOG_EVERY_MS = 5000;
/** Metrics asked for at once. */
const CATALOG_PAGE = 200;

interface PanelProps {
  readonly title: string;
  readonly children: ComponentChildren;
  onClose(): void;
}

/** The drawer's frame. It is no dialog: the grid beside it stays in use. */
export function Panel({ title, children, onClose }: PanelProps) {
  const heading = useId();
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    (panel.current?.querySelector<HTMLElement>("[autofocus]") ?? panel.current)?.focus();
  }, []);
  return (
    <aside
      class="drawer"
      ref={panel}
      tabIndex={-1}
      aria-labelledby={heading}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <div class="drawer-head">
        <h2 class="drawer-title" id={heading}>
          {title}
        </h2>
        <button type="button" class="button button-quiet" onClick={onClose}>
          Close
        </button>
      </div>
      {children}
    </aside>
  );
}

interface WidgetDrawerProps {
  readonly widget: Widget;
  readonly faults: readonly PathText[];
  readonly warnings: readonly PathText[];
  readonly cost: WidgetCost | undefined;
  /** step names what is changed, for undo. */
  onChange(widget: Widget, step: string): void;
  onClose(): void;
}

/** The fields' way to the document. */
interface Form {
  get(path: string): unknown;
  set(path: string, value: unknown): void;
  /** What a field at path needs to know beside its value. */
  at(path: string): { readonly error: string | undefined; readonly hint: string | undefined };
}

function textAt(texts: readonly PathText[], path: string): string | undefined {
  return texts.find((one) => one.path === path || one.path.startsWith(`${path}/`))?.text;
}

export function WidgetDrawer({ widget, faults, warnings, cost, onChange, onClose }: WidgetDrawerProps) {
  const [tab, setTab] = useState<Tab>("Query");
  const id = useId();
  const document: JsonObject = { ...widget };
  const form: Form = {
    get: (path) => getAt(document, path),
    set: (path, value) => onChange(setAt(document, path, value) as unknown as Widget, path),
    at: (path) => ({ error: textAt(faults, path), hint: textAt(warnings, path) }),
  };
  return (
    <Panel title={nameOf(widget)} onClose={onClose}>
      <div class="tabs" role="tablist" aria-label="Settings" onKeyDown={(event) => walk(event)?.click()}>
        {TABS.map((name) => {
          const count = faults.filter((one) => name === "JSON" || tabOf(one.path) === name).length;
          return (
            <button
              key={name}
              type="button"
              role="tab"
              class="tab"
              id={`${id}-${name}`}
              aria-selected={name === tab}
              aria-controls={id}
              tabIndex={name === tab ? 0 : -1}
              onClick={() => setTab(name)}
            >
              {name}{" "}
              {count === 0 ? null : (
                <span class="tab-faults">
                  {count}
                  <span class="sr-only"> to mend</span>
                </span>
              )}
            </button>
          );
        })}
      </div>
      <div class="drawer-body" role="tabpanel" id={id} aria-labelledby={`${id}-${tab}`}>
        {tab === "Query" ? <Query form={form} /> : null}
        {tab === "Display" ? <Lines form={form} lines={DISPLAY} /> : null}
        {tab === "Thresholds" ? <Thresholds form={form} /> : null}
        {tab === "JSON" ? <Json key={widget.widget_id} widget={widget} faults={faults} onChange={onChange} /> : null}
      </div>
      <p class="drawer-foot">{costText(cost)}</p>
    </Panel>
  );
}

function costText(cost: WidgetCost | undefined): string {
  if (cost === undefined) return "";
  const { series, groups } = cost;
  const over = series === null ? "No event of this metric has come in the last hour." : `${series.toLocaleString("en")} series, ${groups ?? 1} drawn at most.`;
  return `${cost.new ? "A new query." : "This query is computed already."} ${over}`;
}

/** What arrives in the pipeline: everything while that is little, else what has the name in its own. */
function useMetrics(name: string): { readonly metrics: readonly Metric[]; readonly problem: string } {
  const [metrics, setMetrics] = useState<readonly Metric[]>([]);
  const [many, setMany] = useState(false);
  const [problem, setProblem] = useState("");
  const query = many ? name : "";
  useEffect(() => {
    const abort = new AbortController();
    const read = (): void => {
      listMetrics(query, CATALOG_PAGE, abort.signal).then(
        (page) => {
          setProblem("");
          setMetrics(page.metrics);
          if (page.total > CATALOG_PAGE) setMany(true);
          timer = setTimeout(read, CATALOG_EVERY_MS);
        },
        (error: unknown) => {
          if (!abort.signal.aborted) setProblem(`The list of metrics cannot be read: ${messageOf(error)}`);
        },
      );
    };
    let timer = setTimeout(read, query === "" ? 0 : CATALOG_WAIT_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [query]);
  return { metrics, problem };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function Query({ form }: { readonly form: Form }) {
  const name = textOf(form.get("metric_name"));
  const { metrics, problem } = useMetrics(name);
  const metric = metrics.find((one) => one.metric_name === name);
  const aggregation = textOf(form.get("aggregation"));
  const percentile = /^p([\d.]*)$/.exec(aggregation)?.[1];
  const tags = (metric?.tags ?? []).map(({ key, values }): Choice => ({ value: key, note: `${values.length} values` }));
  const { error, hint } = form.at("metric_name");
  return (
    <>
      <Combo
        class="full"
        label="Metric"
        placeholder="shop.orders"
        autoFocus={name === ""}
        value={name}
        error={error}
        hint={hint ?? (problem || (metric === undefined ? "" : metricNote(metric)))}
        choices={metrics.map((one) => ({ value: one.metric_name, note: metricNote(one) }))}
        onValue={(value) => form.set("metric_name", value.trim())}
      />
      <SelectField
        label="Aggregation"
        value={percentile === undefined ? aggregation : "percentile"}
        options={[...AGGREGATIONS, "percentile"].map((one) => [one, one])}
        onValue={(value) => form.set("aggregation", value === "percentile" ? "p95" : value)}
        {...(percentile === undefined ? form.at("aggregation") : {})}
      />
      {percentile === undefined ? (
        <span />
      ) : (
        <NumberField
          label="Percentile"
          value={percentile === "" ? null : Number(percentile)}
          onValue={(value) => form.set("aggregation", `p${value ?? ""}`)}
          {...form.at("aggregation")}
        />
      )}
      <Lines form={form} lines={TIMES} />
      <Filter metric={metric} tags={tags} form={form} />
      <Multi
        class="full"
        label="A line for each value of"
        placeholder="tag"
        values={listOf(form.get("group_by"))}
        choices={tags}
        onValues={(values) => form.set("group_by", values)}
        {...form.at("group_by")}
      />
    </>
  );
}

function metricNote({ series, last_value, stale }: Metric): string {
  return `${series.toLocaleString("en")} series, ${stale ? "nobody tells of it now" : `last ${formatOne(last_value, "")}`}`;
}

function listOf<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [];
}

interface FilterProps {
  readonly metric: Metric | undefined;
  readonly tags: readonly Choice[];
  readonly form: Form;
}

function Filter({ metric, tags, form }: FilterProps) {
  const filter = form.get("filter");
  const known = JSON.stringify(filter ?? {});
  const [rows, setRows] = useState<readonly FilterRow[]>([]);
  // Lines that are not finished are in no document; those of a document that was changed elsewhere are read anew.
  const last = useRef("");
  let shown = rows;
  if (last.current !== known) {
    last.current = known;
    shown = rowsOf(isObject(filter) ? filter : {});
    if (JSON.stringify(shown) !== JSON.stringify(rows)) setRows(shown);
  }
  const change = (next: readonly FilterRow[]): void => {
    const made = filterOf(next);
    last.current = JSON.stringify(made);
    setRows(next);
    if (last.current !== known) form.set("filter", made);
  };
  return (
    <Rows legend="Only events where" rows={shown} what="condition" fresh={{ tag: "", op: "is", values: [] }} error={form.at("filter").error} onRows={change}>
      {(row, set) => {
        const values = (metric?.tags.find(({ key }) => key === row.tag)?.values ?? []).map((value): Choice => ({ value }));
        return (
          <>
            <Combo label="Tag" value={row.tag} choices={tags} onValue={(tag) => set({ tag: tag.trim() })} />
            <SelectField label="Holds when it" value={row.op} options={OPERATORS} onValue={(op) => set({ op: op as Operator })} />
            {row.op === "is" || row.op === "not" ? (
              <Multi class="full" label="Values" values={row.values} choices={values} onValues={(next) => set({ values: next })} />
            ) : null}
            {row.op === "prefix" ? (
              <Combo class="full" label="Beginning" value={row.values[0] ?? ""} choices={values} onValue={(text) => set({ values: text === "" ? [] : [text] })} />
            ) : null}
          </>
        );
      }}
    </Rows>
  );
}

type Size = "" | "third" | "quarter" | "full";
type Line = readonly [path: string, label: string, size: Size, kind: "number" | "text" | readonly string[], placeholder?: string];

/** Fields that differ in their words only. */
function Lines({ form, lines }: { readonly form: Form; readonly lines: readonly Line[] }) {
  return (
    <>
      {lines.map(([path, label, size, kind, placeholder]) => {
        const value = form.get(path);
        const field = { key: path, label, class: size, placeholder: placeholder ?? "", onValue: (next: unknown) => form.set(path, next), ...form.at(path) };
        if (kind === "number") return <NumberField {...field} value={value} />;
        return kind === "text" ? <TextField {...field} value={textOf(value)} /> : <SelectField {...field} value={textOf(value)} options={kind.map((one) => [one, one])} />;
      })}
    </>
  );
}

const TIMES: readonly Line[] = [
  ["window_seconds", "Window, s", "third", "number"],
  ["refresh_interval_seconds", "Refresh, s", "third", "number", "1"],
  ["delay_seconds", "Delay, s", "third", "number", "0"],
];

const DISPLAY: readonly Line[] = [
  ["display_config/chart", "Chart", "", CHARTS],
  ["display_config/unit", "Unit", "", "text", "%, ms, B/s"],
  ["display_config/title", "Title", "full", "text"],
  ["display_config/x_axis/label", "Label of the time axis", "", "text"],
  ["display_config/y_axis/label", "Label of the value axis", "", "text"],
  ["display_config/y_axis/scale", "Scale", "third", ["linear", "log"]],
  ["display_config/y_axis/min", "From", "third", "number", "auto"],
  ["display_config/y_axis/max", "To", "third", "number", "auto"],
  ["display_config/color_scheme", "Colours", "", ["okabe-ito", "viridis", "cividis"]],
  ["display_config/limit", "Series at most", "", "number", "20"],
  ["display_config/position/x", "Left", "quarter", "number"],
  ["display_config/position/y", "Top", "quarter", "number"],
  ["display_config/position/w", "Width", "quarter", "number"],
  ["display_config/position/h", "Height", "quarter", "number"],
];

interface ThresholdRow {
  readonly at: number | null;
  readonly level: string;
}

function Thresholds({ form }: { readonly form: Form }) {
  const path = "display_config/thresholds";
  const rows = listOf<ThresholdRow>(form.get(path));
  return (
    <Rows
      legend="Values from here on are marked, with a line, a word and a colour"
      rows={rows}
      what="threshold"
      fresh={{ at: 0, level: rows.length === 0 ? "warn" : "crit" }}
      onRows={(next) => form.set(path, next)}
    >
      {(row, set, i) => (
        <>
          <span class="swatch" data-level={row.level} />
          <NumberField label="From" value={row.at} error={form.at(`${path}/${i}`).error} onValue={(at) => set({ at })} />
          <SelectField label="Level" value={row.level} options={LEVELS.map((one) => [one, one])} onValue={(level) => set({ level })} />
        </>
      )}
    </Rows>
  );
}

interface JsonProps {
  readonly widget: Widget;
  readonly faults: readonly PathText[];
  onChange(widget: Widget, step: string): void;
}

/** The document itself. What is typed stays as it is until the document changes elsewhere. */
function Json({ widget, faults, onChange }: JsonProps) {
  const now = JSON.stringify(widget, null, 2);
  const [typed, setTyped] = useState({ text: now, means: now, fault: "" });
  const { text, fault } = typed.means === now ? typed : { text: now, fault: "" };
  const type = (value: string): void => {
    try {
      const document: unknown = JSON.parse(value);
      const problem = shapeFault(document);
      if (problem !== "") throw new Error(problem);
      const next = { ...(document as Widget), widget_id: widget.widget_id };
      setTyped({ text: value, means: JSON.stringify(next, null, 2), fault: "" });
      onChange(next, "json");
    } catch (failure) {
      setTyped({ text: value, means: now, fault: `This is not taken over yet: ${messageOf(failure)}` });
    }
  };
  return (
    <>
      <Field class="full" label="The widget as JSON" error={fault || undefined}>
        {(aria) => <textarea {...aria} class="input" rows={22} spellcheck={false} value={text} onInput={(event) => type(event.currentTarget.value)} />}
      </Field>
      {faults.map((one) => (
        <p key={one.path} class="full field-error">
          /{one.path}: {one.text}
        </p>
      ))}
    </>
  );
}

