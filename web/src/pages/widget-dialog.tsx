import { useState } from "preact/hooks";
import { ApiError, patchWidgets, type Versioned } from "../api/client";
import type { Chart, Dashboard, Widget, WidgetsPatch } from "../api/types";
import { CHARTS, widgetPosition } from "../model/dashboard";
import { freePosition } from "../model/layout";
import { documentOf, EMPTY_FIELDS, fieldsOf, patchOf, placeErrors, rebase, type FieldErrors, type WidgetFields } from "../model/widget-form";
import { Dialog } from "../ui/dialog";
import { Field, SelectField, TextField } from "../ui/field";

const AGGREGATIONS = ["avg", "sum", "max", "min", "count", "p50", "p90", "p95", "p99"];
const SIZES: Readonly<Record<Chart, readonly [w: number, h: number]>> = { line: [6, 4], gauge: [3, 3], stat: [3, 2], table: [4, 4], heatmap: [6, 4] };
const CONFLICT = "Someone else changed this dashboard. Their changes are loaded now and yours are still here: look again, then save.";
const GONE = "Someone else removed this widget.";

interface WidgetDialogProps {
  readonly dashboard: Versioned<Dashboard>;
  /** Null to add one. */
  readonly widget: Widget | null;
  onSaved(dashboard: Versioned<Dashboard>): void;
  /** Reads the dashboard again after someone else's change; null when that fails. */
  onConflict(): Promise<Versioned<Dashboard> | null>;
  onClose(): void;
}

export function WidgetDialog({ dashboard, widget, onSaved, onConflict, onClose }: WidgetDialogProps) {
  // The version that the form was filled from. An edit is made against it and no
  // newer one, so that a change by someone else meanwhile is noticed (412).
  const [base, setBase] = useState({ widget, etag: dashboard.etag });
  const [fields, setFields] = useState<WidgetFields>(() => (widget === null ? EMPTY_FIELDS : fieldsOf(widget)));
  const [errors, setErrors] = useState<FieldErrors>({});
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  const set = (name: keyof WidgetFields) => (value: string) => {
    setFields((old) => ({ ...old, [name]: value }));
    setErrors((old) => {
      const { [name]: _, ...others } = old;
      return others;
    });
  };

  const submit = async (): Promise<void> => {
    const form = documentOf(fields);
    if (!form.ok) {
      setErrors(form.errors);
      return;
    }
    setBusy(true);
    setProblem("");
    const edited = base.widget;
    const root = edited === null ? "/add/0" : `/${edited.widget_id}`;
    try {
      const patch = edited === null ? { add: [withPosition(form.document, dashboard.value)] } : { [edited.widget_id]: patchOf(edited, form.document) };
      // Adding overwrites nothing: the newest version will do.
      onSaved(await patchWidgets(dashboard.value.dashboard_id, edited === null ? dashboard.etag : base.etag, patch as WidgetsPatch));
      return;
    } catch (failure) {
      if (failure instanceof ApiError && failure.conflict) {
        setProblem(takeTheirs(await onConflict()) ? CONFLICT : GONE);
      } else if (failure instanceof ApiError && failure.errors.length > 0) {
        const placed = placeErrors(failure.errors, root);
        setErrors(placed.fields);
        setProblem(placed.rest.join(" "));
      } else {
        setProblem(failure instanceof Error ? failure.message : String(failure));
      }
    }
    setBusy(false);
  };

  /** False when the widget is no longer there. */
  const takeTheirs = (theirs: Versioned<Dashboard> | null): boolean => {
    if (theirs === null || base.widget === null) return true;
    const mine = base.widget;
    const next = theirs.value.widgets.find((one) => one.widget_id === mine.widget_id);
    if (next === undefined) return false;
    const before = fieldsOf(mine);
    setFields((typed) => rebase(typed, before, fieldsOf(next)));
    setBase({ widget: next, etag: theirs.etag });
    return true;
  };

  const text = (name: keyof WidgetFields) => ({ value: fields[name], error: errors[name], onValue: set(name) });
  const aggregations = AGGREGATIONS.includes(fields.aggregation) ? AGGREGATIONS : [fields.aggregation, ...AGGREGATIONS];
  const metrics = [...new Set(dashboard.value.widgets.map((one) => one.metric_name))].sort();
  return (
    <Dialog
      title={widget === null ? "Add a widget" : "Edit the widget"}
      submit={widget === null ? "Add" : "Save"}
      busy={busy}
      problem={problem}
      onSubmit={() => void submit()}
      onClose={onClose}
    >
      <div class="form-row">
        <TextField label="Metric" class="full" {...text("metric")} placeholder="shop.orders" list="known-metrics" autoFocus={widget === null} />
        <datalist id="known-metrics">
          {metrics.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <SelectField label="Aggregation" class="third" {...text("aggregation")} options={aggregations.map((name) => [name, name])} />
        <TextField label="Window, seconds" class="third" type="number" {...text("window")} />
        <TextField label="Refresh, seconds" class="third" type="number" {...text("refresh")} />
        <TextField label="Group by tags" {...text("groupBy")} placeholder="host, region" hint="Separated by commas; up to four" />
        <Field label="Filter" error={errors.filter} hint="JSON, by tag">
          {(aria) => (
            <textarea
              {...aria}
              class="input"
              rows={1}
              spellcheck={false}
              value={fields.filter}
              placeholder='{"region":"eu"}'
              onInput={(event) => set("filter")(event.currentTarget.value)}
            />
          )}
        </Field>
      </div>
      <div class="form-row">
        <TextField label="Title" {...text("title")} placeholder={fields.metric} />
        <SelectField label="Chart" class="quarter" {...text("chart")} options={CHARTS.map((name) => [name, name])} />
        <TextField label="Unit" class="quarter" {...text("unit")} placeholder="%, ms, B/s" />
        <TextField label="Scale from" class="quarter" type="number" {...text("min")} placeholder="auto" />
        <TextField label="Scale to" class="quarter" type="number" {...text("max")} placeholder="auto" />
        <TextField label="Warning at" class="quarter" type="number" {...text("warn")} />
        <TextField label="Critical at" class="quarter" type="number" {...text("crit")} />
        <SelectField
          label="Value axis"
          {...text("scale")}
          options={[
            ["linear", "linear"],
            ["log", "logarithmic"],
          ]}
        />
        <SelectField
          label="Colours"
          {...text("scheme")}
          options={[
            ["", "as usual"],
            ["okabe-ito", "Okabe-Ito (series)"],
            ["viridis", "Viridis (heat map)"],
            ["cividis", "Cividis (heat map)"],
          ]}
        />
      </div>
      {widget === null ? null : (
        <div class="form-row">
          <TextField label="Column, 0–11" class="quarter" type="number" {...text("x")} />
          <TextField label="Row" class="quarter" type="number" {...text("y")} />
          <TextField label="Width, 1–12" class="quarter" type="number" {...text("w")} />
          <TextField label="Height" class="quarter" type="number" {...text("h")} />
        </div>
      )}
    </Dialog>
  );
}

/** A new widget goes where there is room for the usual size of its chart. */
function withPosition(document: Readonly<Record<string, unknown>>, dashboard: Dashboard): Readonly<Record<string, unknown>> {
  const display = document["display_config"] as Readonly<Record<string, unknown>>;
  const [w, h] = SIZES[display["chart"] as Chart] ?? SIZES.line;
  return { ...document, display_config: { ...display, position: freePosition(dashboard.widgets.map(widgetPosition), w, h) } };
}

interface RemoveDialogProps {
  readonly dashboard: Versioned<Dashboard>;
  readonly widget: Widget;
  onSaved(dashboard: Versioned<Dashboard>): void;
  onConflict(): Promise<Versioned<Dashboard> | null>;
  onClose(): void;
}

export function RemoveWidgetDialog({ dashboard, widget, onSaved, onConflict, onClose }: RemoveDialogProps) {
  // As it was when the question was asked.
  const [etag, setEtag] = useState(dashboard.etag);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    setBusy(true);
    try {
      onSaved(await patchWidgets(dashboard.value.dashboard_id, etag, { [widget.widget_id]: null }));
      return;
    } catch (failure) {
      if (failure instanceof ApiError && failure.conflict) {
        const theirs = await onConflict();
        if (theirs !== null) setEtag(theirs.etag);
        setProblem("Someone else changed this dashboard meanwhile. Remove the widget all the same?");
      } else {
        setProblem(failure instanceof Error ? failure.message : String(failure));
      }
    }
    setBusy(false);
  };
  const name = widget.display_config?.title || widget.metric_name;
  return (
    <Dialog title={`Remove “${name}”?`} submit="Remove" danger small busy={busy} problem={problem} onSubmit={() => void submit()} onClose={onClose}>
      <p>The widget goes away for everyone who watches this dashboard. The metric itself stays.</p>
    </Dialog>
  );
}
