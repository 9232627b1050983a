import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export interface FieldAria {
  readonly id: string;
  readonly "aria-describedby": string;
  readonly "aria-invalid": boolean;
}

interface FieldProps {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly error?: string | undefined;
  readonly class?: string;
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

interface TextFieldProps extends Omit<FieldProps, "children"> {
  readonly value: string;
  readonly type?: "text" | "number";
  readonly placeholder?: string;
  readonly list?: string;
  readonly autoFocus?: boolean;
  onValue(value: string): void;
}

export function TextField({ value, type = "text", placeholder, list, autoFocus, onValue, ...field }: TextFieldProps) {
  return (
    <Field {...field}>
      {(aria) => (
        <input
          {...aria}
          class="input"
          type={type}
          step="any"
          value={value}
          placeholder={placeholder}
          list={list}
          autoFocus={autoFocus}
          autoComplete="off"
          spellcheck={false}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

interface SelectFieldProps extends Omit<FieldProps, "children"> {
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  onValue(value: string): void;
}

export function SelectField({ value, options, onValue, ...field }: SelectFieldProps) {
  return (
    <Field {...field}>
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
