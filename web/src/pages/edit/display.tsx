import { NumberField, SelectField } from "../../ui/field";
import type { FormField } from "../../widgets/fields";
import { WIDGET_TYPES } from "../../widgets/types";
import { Rows } from "./fields";
import { FormFields, listOf, textOf, useRows, type Form } from "./form";

const FOR_ALL: readonly FormField[] = [
  { path: "display_config/chart", label: "Chart", kind: [...WIDGET_TYPES].map(([name, { label }]) => [name, label] as const), fallback: "line" },
  { path: "display_config/unit", label: "Unit", kind: "text", fallback: "%, ms, B/s" },
  { path: "display_config/title", label: "Title", width: "full", kind: "text" },
];

const PLACE: readonly FormField[] = [
  { path: "display_config/position/x", label: "Left", width: "quarter", kind: "number" },
  { path: "display_config/position/y", label: "Top", width: "quarter", kind: "number" },
  { path: "display_config/position/w", label: "Width", width: "quarter", kind: "number" },
  { path: "display_config/position/h", label: "Height", width: "quarter", kind: "number" },
];

/** How the values are drawn: what each type of widget has, what this one has, and where it stands. */
export function Display({ form }: { readonly form: Form }) {
  const type = WIDGET_TYPES.get(textOf(form.get("display_config/chart")) || "line");
  return (
    <>
      <FormFields form={form} fields={[...FOR_ALL, ...(type?.fields ?? [])]} />
      <div class="form-row full">
        <FormFields form={form} fields={PLACE} />
      </div>
    </>
  );
}

interface ThresholdRow {
  /** Null while nothing is typed. */
  readonly at: number | null;
  readonly level: string;
}

const THRESHOLDS = "display_config/thresholds";
const LEVELS = [["ok", "ok"], ["warn", "warning"], ["crit", "critical"]] as const;

function isSet({ at }: ThresholdRow): boolean {
  return at !== null;
}

export function Thresholds({ form }: { readonly form: Form }) {
  const [rows, change] = useRows<ThresholdRow>(form, THRESHOLDS, listOf, (all) => all.filter(isSet));
  return (
    <Rows
      legend="Values from here on are marked, with a line, a word and a colour"
      rows={rows}
      what="threshold"
      fresh={{ at: null, level: rows.length === 0 ? "warn" : "crit" }}
      onRows={change}
    >
      {(row, set, i) => (
        <>
          <span class="swatch" data-level={row.level} />
          <NumberField label="From" value={row.at} error={isSet(row) ? form.at(`${THRESHOLDS}/${rows.slice(0, i).filter(isSet).length}`).error : undefined} onValue={(at) => set({ at })} />
          <SelectField label="Level" value={row.level} options={LEVELS} onValue={(level) => set({ level })} />
        </>
      )}
    </Rows>
  );
}
