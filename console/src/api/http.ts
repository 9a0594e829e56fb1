/** HTTP to the program that served this page: CSRF token, one key per command, errors as sentences. */

const ANSWER_WITHIN_MS = 8_000;

/** What went wrong: `code` is a kind of src/safecity/errors.py, or "offline" when no answer came. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

/** A key that makes a repeated command the same command; works without a secure context too. */
export function commandKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Http {
  #csrf = "";

  constructor(private readonly request: typeof fetch = (...args) => fetch(...args)) {}

  /** Use this token from now on; commands without it are refused. */
  keepToken(csrf: string | undefined): void {
    this.#csrf = csrf ?? this.#csrf;
  }

  async call<T>(method: string, path: string, body?: unknown, within_ms?: number): Promise<T> {
    const response = await this.#ask(method, path, "application/json", body, within_ms);
    return (response.status === 204 ? {} : await response.json()) as T;
  }

  /** Get what is no JSON: pictures and film. */
  async get(path: string, within_ms?: number, signal?: AbortSignal): Promise<Response> {
    return this.#ask("GET", path, "*/*", undefined, within_ms, signal);
  }

  async #ask(
    method: string,
    path: string,
    accept: string,
    body: unknown,
    within_ms = ANSWER_WITHIN_MS,
    signal?: AbortSignal,
  ): Promise<Response> {
    const headers: Record<string, string> = { accept };
    if (method !== "GET") {
      headers["content-type"] = "application/json";
      headers["x-csrf-token"] = this.#csrf;
      headers["idempotency-key"] = commandKey();
    }
    const timeout = AbortSignal.timeout(within_ms);
    let response: Response;
    try {
      response = await this.request(path, {
        method,
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new ApiError("offline", "");
    }
    if (!response.ok) throw await readError(response);
    return response;
  }
}

async function readError(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as { code?: string; message?: string };
    return new ApiError(body.code ?? "internal", body.message ?? "", response.status);
  } catch {
    return new ApiError("internal", "", response.status);
  }
}
