import { useEffect, useState } from "preact/hooks";
import { listMetrics, messageOf } from "../../api/client";
import type { Metric } from "../../api/types";
import { AGGREGATIONS, aggregationLabel, aggregationMeaning, isGrowth } from "../../model/aggregation-texts";
import { isObject } from "../../model/merge-patch";
import { formatOne } from "../../model/number";
import { proposed, unitOf } from "../../model/proposal";
import { filterOf, OPERATORS, rowsOf, takesOne, type Operator } from "../../model/widget-form";
import { NumberField, SelectField } from "../../ui/field";
import type { FormField } from "../../widgets/fields";
import { Combo, Multi, Rows, type Choice } from "./fields";
import { FormFields, listOf, textOf, useRows, type Form } from "./form";

const CATALOG_WAIT_MS = 150;
/** A metric may arrive while the drawer is open. */
const CATALOG_EVERY_MS = 5000;
/** Metrics asked for at once. */
const CATALOG_PAGE = 200;

const UNIT = "display_config/unit";

const TIMES: readonly FormField[] = [
  { path: "window_seconds", label: "Window, seconds", width: "third", kind: "number", hint: "that each value covers" },
  { path: "refresh_interval_seconds", label: "Refresh, seconds", width: "third", kind: "number", hint: "from value to value", fallback: "1" },
  { path: "delay_seconds", label: "Delay, seconds", width: "third", kind: "number", hint: "to wait for late events", fallback: "0" },
];

/** The metrics that arrive in the pipeline: all of them while they fit a page of the catalog, else those that match name. */
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

export function Query({ form }: { readonly form: Form }) {
  const name = textOf(form.get("metric_name"));
  const { metrics, problem } = useMetrics(name);
  const metric = metrics.find((one) => one.metric_name === name);
  const aggregation = textOf(form.get("aggregation"));
  const percentile = /^p([\d.]*)$/.exec(aggregation)?.[1];
  const tags = (metric?.tags ?? []).map(({ key, values }): Choice => ({ value: key, note: `${values.length} values` }));
  const { error, hint } = form.at("metric_name");
  const chosen = percentile === undefined ? aggregation : "percentile";
  /** The unit goes with what is computed, unless somebody has written another one. */
  const follow = (before: string, after: string): void => {
    const now = textOf(form.get(UNIT)); // None yet also where a name was typed before the list of metrics was read.
    if ((now === before || now === "") && after !== now) form.set(UNIT, after);
  };
  const unit = metric === undefined ? "" : unitOf(metric, aggregation);
  const compute = (next: string): void => {
    form.set("aggregation", next);
    if (metric !== undefined) follow(unit, unitOf(metric, next));
  };
  const said = percentile === undefined ? form.at("aggregation") : { error: undefined, hint: undefined };
  return (
    <>
      <Combo
        class="full"
        label="Metric"
        placeholder="shop.orders"
        autoFocus={name === ""}
        value={name}
        error={error}
        hint={hint ?? (problem || (metric === undefined ? "" : metricHint(metric)))}
        choices={metrics.map((one) => ({ value: one.metric_name, note: metricNote(one) }))}
        onValue={(value) => {
          form.set("metric_name", value.trim());
          const chosen = metrics.find((one) => one.metric_name === value.trim());
          if (chosen === undefined) return;
          const best = isNew(form) ? proposed(chosen) : {};
          for (const [path, one] of Object.entries(best)) form.set(path, one);
          follow(unit, unitOf(chosen, textOf(form.get("aggregation"))));
        }}
      />
      <SelectField
        label="Aggregation"
        value={chosen}
        options={[...AGGREGATIONS, "percentile"].map((one) => [one, aggregationLabel(one)])}
        onValue={(value) => compute(value === "percentile" ? "p95" : value)}
        error={said.error}
        hint={said.hint ?? aggregationMeaning(chosen)}
      />
      {percentile === undefined ? null : (
        <NumberField
          label="Percentile"
          value={percentile === "" ? null : Number(percentile)}
          onValue={(value) => compute(`p${value ?? ""}`)}
          {...form.at("aggregation")}
        />
      )}
      {isGrowth(aggregation) ? <FirstSample form={form} /> : null}
      {percentile === undefined && !isGrowth(aggregation) ? <span /> : null}
      <FormFields form={form} fields={TIMES} />
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

/** Whether nobody has chosen what the widget computes. */
function isNew(form: Form): boolean {
  return textOf(form.get("aggregation")) === "avg" && (form.get("delay_seconds") ?? 0) === 0;
}

const FIRST = [
  ["", "Counts nothing"],
  ["count", "Counts whole"],
] as const;

/** What the first sample of a counter counts whose start nobody says. */
function FirstSample({ form }: { readonly form: Form }) {
  const { error, hint } = form.at("first");
  return (
    <SelectField
      label="First sample of a series"
      value={textOf(form.get("first"))}
      options={FIRST}
      onValue={(value) => form.set("first", value === "" ? undefined : value)}
      error={error}
      hint={hint ?? "whole where its series begin at zero"}
    />
  );
}

function metricNote(metric: Metric): string {
  const { series, last_value, stale } = metric;
  return `${series.toLocaleString("en")} series, ${stale ? "no events now" : `mean now ${formatOne(last_value, unitOf(metric, "avg"))}`}`;
}

/** What is known of the metric that is chosen. Of senders that disagree it has what each says. */
function metricHint(metric: Metric): string {
  const units = metric.units.length > 1 ? `; senders name several units: ${metric.units.join(", ")}` : "";
  return `${metricNote(metric)}${units}${metric.help.length === 0 ? "" : `. ${metric.help.join(" / ")}`}`;
}

interface FilterProps {
  readonly metric: Metric | undefined;
  readonly tags: readonly Choice[];
  readonly form: Form;
}

function Filter({ metric, tags, form }: FilterProps) {
  const [rows, change] = useRows(form, "filter", (filter) => rowsOf(isObject(filter) ? filter : {}), filterOf);
  return (
    <Rows legend="Only events where" rows={rows} what="condition" fresh={{ tag: "", op: "is", values: [] }} error={form.at("filter").error} onRows={change}>
      {(row, set) => {
        const values = (metric?.tags.find(({ key }) => key === row.tag)?.values ?? []).map((value): Choice => ({ value }));
        return (
          <>
            <Combo label="Tag" value={row.tag} choices={tags} onValue={(tag) => set({ tag: tag.trim() })} />
            <SelectField label="Holds when it" value={row.op} options={OPERATORS} onValue={(op) => set({ op: op as Operator })} />
            {row.op === "is" || row.op === "not" ? (
              <Multi class="full" label="Values" values={row.values} choices={values} onValues={(next) => set({ values: next })} />
            ) : null}
            {takesOne(row.op) ? (
              <Combo class="full" label={row.op === "prefix" ? "Beginning" : "Regular expression"} value={row.values[0] ?? ""} choices={values} onValue={(text) => set({ values: text === "" ? [] : [text] })} />
            ) : null}
          </>
        );
      }}
    </Rows>
  );
}
