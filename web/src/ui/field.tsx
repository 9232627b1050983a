import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";

export interface FieldAria {
  readonly id: string;
  readonly "aria-describedby": string;
  readonly "aria-invalid": boolean;
}

/** The texts of a field. */
export interface FieldTexts {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly error?: string | undefined;
  readonly class?: string;
  readonly placeholder?: string;
}

interface FieldProps extends FieldTexts {
  readonly children: (aria: FieldAria) => ComponentChildren;
}

/** Label, control, hint and error, tied together for screen readers. */
export function Field({ label, hint, error, class: extra, children }: FieldProps) {
  const id = useId();
  const note = `${id}-note`;
  return (
    <div class={`field ${extra ?? ""}`}>
      <label class="field-label" for={id}>
        {label}
      </label>
      {children({ id, "aria-describedby": note, "aria-invalid": error !== undefined })}
      <span id={note} class={error === undefined ? "field-hint" : "field-error"}>
        {error ?? hint}
      </span>
    </div>
  );
}

interface TextFieldProps extends FieldTexts {
  readonly value: string;
  readonly type?: "text" | "number" | "password";
  readonly autoFocus?: boolean;
  readonly autoComplete?: string;
  onValue(value: string): void;
}

export function TextField({ value, type = "text", placeholder, autoFocus, autoComplete = "off", onValue, ...texts }: TextFieldProps) {
  // Preact's types have no input whose type may be password or another one.
  const input = { class: "input", step: "any", spellcheck: false, type: type as "text", value, placeholder, autoFocus, autoComplete };
  return <Field {...texts}>{(aria) => <input {...aria} {...input} onInput={(event) => onValue(event.currentTarget.value)} />}</Field>;
}

interface NumberFieldProps extends FieldTexts {
  readonly value: unknown;
  /** null when the field is empty or holds no number. */
  onValue(value: number | null): void;
}

/** What is typed stays as it is typed while it means the value: 1.0 on the way to 1.05. */
export function NumberField({ value, onValue, ...field }: NumberFieldProps) {
  const [typed, setTyped] = useState("");
  const numberOf = (text: string): number | null => (text === "" ? null : Number(text));
  const type = (text: string): void => {
    setTyped(text);
    onValue(numberOf(text));
  };
  return <TextField {...field} type="number" value={numberOf(typed) === value ? typed : String(value ?? "")} onValue={type} />;
}

interface SelectFieldProps extends FieldTexts {
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  onValue(value: string): void;
}

export function SelectField({ value, options, onValue, ...texts }: SelectFieldProps) {
  return (
    <Field {...texts}>
      {(aria) => (
        <select {...aria} class="input" value={value} onChange={(event) => onValue(event.currentTarget.value)}>
          {options.map(([name, text]) => (
            <option key={name} value={name}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
