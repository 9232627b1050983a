import { useRef, useState } from "preact/hooks";
import { NumberField, SelectField, TextField } from "../../ui/field";
import type { FormField } from "../../widgets/fields";

/** How fields read and change the document. */
export interface Form {
  get(path: string): unknown;
  set(path: string, value: unknown): void;
  /** The fault and the warning of the field at path. */
  at(path: string): { readonly error: string | undefined; readonly hint: string | undefined };
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function listOf<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [];
}

/** Fields that differ in their words only. */
export function FormFields({ form, fields }: { readonly form: Form; readonly fields: readonly FormField[] }) {
  return (
    <>
      {fields.map(({ path, label, width = "", kind, hint, fallback = "" }) => {
        const value = form.get(path);
        const said = form.at(path);
        const field = { key: path, label, class: width, error: said.error, hint: said.hint ?? hint, onValue: (next: unknown) => form.set(path, next) };
        if (kind === "number") return <NumberField {...field} placeholder={fallback} value={value} />;
        if (kind === "text") return <TextField {...field} placeholder={fallback} value={textOf(value)} />;
        // A choice that this type of widget does not have counts as none.
        const chosen = kind.some(([one]) => one === value) ? textOf(value) : fallback;
        return <SelectField {...field} value={chosen} options={kind} />;
      })}
    </>
  );
}

/**
 * The rows of a list in the form, and how to change them. make leaves rows out of the document that are not
 * finished; they stay in the form all the same. Where the document was changed elsewhere, read makes its rows anew.
 */
export function useRows<Row>(
  form: Form,
  path: string,
  read: (value: unknown) => readonly Row[],
  make: (rows: readonly Row[]) => unknown,
): readonly [rows: readonly Row[], change: (rows: readonly Row[]) => void] {
  const value = form.get(path);
  const known = JSON.stringify(make(read(value)));
  const [rows, setRows] = useState(() => read(value));
  const last = useRef(known);
  let shown = rows;
  if (last.current !== known) {
    last.current = known;
    shown = read(value);
    setRows(shown);
  }
  const change = (next: readonly Row[]): void => {
    const made = make(next);
    last.current = JSON.stringify(made);
    setRows(next);
    if (last.current !== known) form.set(path, made);
  };
  return [shown, change];
}
