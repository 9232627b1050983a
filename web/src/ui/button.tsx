import type { ButtonHTMLAttributes } from "preact";

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "class" | "type"> {
  readonly look?: "primary" | "quiet" | "danger";
  readonly "data-id"?: string;
}

export function Button({ look, ...rest }: ButtonProps) {
  return <button type="button" class={look === undefined ? "button" : `button button-${look}`} {...rest} />;
}
