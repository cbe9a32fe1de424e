/** What the demo does in SQL, as a reader would type it. */
export interface Story {
  /** A table whose rows call a webhook. */
  readonly setUp: string;
  /** Two rows that are committed. */
  readonly committed: string;
  /** One that is not. */
  readonly rolledBack: string;
  /** Statements to try by hand afterwards. */
  readonly byHand: readonly string[];
}

/** Items of the rows in `committed`, in order. */
export const COMMITTED_ITEMS: readonly string[] = ["tea", "cake"];

/** Where the trigger of the story posts to. */
export const PATH = "/orders";

/** The answers as the story shows them. */
export const SELECT_ANSWERS =
  "select id, status_code, content, timed_out, error_msg from net._http_response order by id";

/** The story with the address of its receiver filled in. */
export function story(receiver: string): Story {
  return {
    setUp: `create table orders (
  id bigint generated always as identity primary key,
  item text not null,
  quantity int not null
);

create function orders_webhook() returns trigger language plpgsql as $$
begin
  perform net.http_post('${receiver}${PATH}', to_jsonb(new));
  return new;
end $$;

create trigger orders_webhook after insert on orders
  for each row execute function orders_webhook();`,
    committed: "insert into orders (item, quantity) values ('tea', 2), ('cake', 1);",
    rolledBack: "begin; insert into orders (item, quantity) values ('regret', 1); rollback;",
    byHand: [
      "insert into orders (item, quantity) values ('jam', 3);",
      `select net.http_get('${receiver}/hello', params := '{"name": "you"}');`,
      `select net.http_post('${receiver}/status/503', '{"try": "an error"}');`,
      `select net.http_get('${receiver}/delay/3000', timeout_milliseconds := 500);`,
      `select r.* from net._http_response r join net.http_response_detail d using (id, created) where d.url like '${receiver}%' order by id desc limit 5;`,
    ],
  };
}
