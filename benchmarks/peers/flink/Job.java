import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** The peers' job on Flink: BOOTSTRAP TOPIC RECORDS SCHEMA. Totals leave their state at the end of the bounded topic and are counted there. */
public final class Job {
  static final Duration PANE = Duration.ofMinutes(5);
  /** Longer than the traffic: no record is late for its window, however late it was sent. */
  static final Duration OUT_OF_ORDER = Duration.ofDays(30);

  static final AtomicLong read = new AtomicLong();
  static final AtomicInteger open = new AtomicInteger(2);
  static final Result lines = new Result(), panes = new Result();
  static long records;

  public static void main(String[] args) throws Exception {
    records = Long.parseLong(args[2]);
    var settings = new Configuration();
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("pipeline.generic-types", "false");
    settings.setString("state.backend.type", "hashmap");
    var env = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    var source =
        KafkaSource.<Usage>builder()
            .setBootstrapServers(args[0])
            .setTopics(args[1])
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setProperty("max.poll.records", "10000")
            .setValueOnlyDeserializer(new UsageDecoder(new Schema.Parser().parse(Path.of(args[3]).toFile()).toString()))
            .build();
    var usage =
        env.fromSource(
            source,
            WatermarkStrategy.<Usage>forBoundedOutOfOrderness(OUT_OF_ORDER).withTimestampAssigner((event, kafka) -> event.at_ms),
            "usage");
    usage
        .filter(event -> !event.item.isEmpty())
        .keyBy(event -> Tuple4.of(event.item, event.team, event.tool, event.model), Types.TUPLE(Types.STRING, Types.STRING, Types.STRING, Types.STRING))
        .process(new RunningTotals())
        .sinkTo(new DiscardingSink<>());
    usage
        .keyBy(event -> Tuple3.of(event.team, event.tool, event.model), Types.TUPLE(Types.STRING, Types.STRING, Types.STRING))
        .window(TumblingEventTimeWindows.of(PANE))
        .aggregate(new Sum(), new PaneTotals())
        .sinkTo(new DiscardingSink<>());
    env.execute();
    System.out.printf(
        "{\"records\": %d, \"tokens\": %d, \"lines\": %d, \"panes\": %d, \"line_tokens\": %d, \"pane_tokens\": %d}%n",
        panes.events, panes.tokens, lines.keys, panes.keys, lines.tokens, panes.tokens);
    System.exit(0);
  }

  /** What a total needs of an event. */
  public static final class Usage {
    public String item, team, tool, model;
    public long at_ms, tokens, output_tokens, cost_micro_usd;
  }

  /** A POJO to Flink. */
  public static final class Totals {
    public long events, tokens, output_tokens, cost_micro_usd;

    void add(Usage event) {
      events++;
      tokens += event.tokens;
      output_tokens += event.output_tokens;
      cost_micro_usd += event.cost_micro_usd;
    }
  }

  /** Of one operator: what it held at the end. */
  static final class Result {
    long keys, events, tokens;

    void add(Totals totals) {
      keys++;
      events += totals.events;
      tokens += totals.tokens;
    }
  }

  static void closed() {
    if (open.decrementAndGet() == 0) System.out.printf("{\"records\": %d}%n", records);
  }

  public static final class UsageDecoder extends AbstractDeserializationSchema<Usage> {
    private final String schema;
    private transient GenericDatumReader<GenericRecord> reader;
    private transient GenericRecord event;
    private transient BinaryDecoder bytes;
    private transient int[] field;

    public UsageDecoder(String schema) {
      super(Usage.class);
      this.schema = schema;
    }

    @Override
    public void open(InitializationContext context) {
      var parsed = new Schema.Parser().parse(schema);
      reader = new GenericDatumReader<>(parsed);
      field =
          java.util.stream.Stream.of(
                  "work_item_id", "team", "tool", "model", "occurred_at", "input_tokens", "cache_read_tokens",
                  "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "cost_micro_usd")
              .mapToInt(name -> parsed.getField(name).pos())
              .toArray();
    }

    @Override
    public Usage deserialize(byte[] value) throws IOException {
      bytes = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, bytes);
      event = reader.read(event, bytes);
      var usage = new Usage();
      usage.item = event.get(field[0]) == null ? "" : event.get(field[0]).toString();
      usage.team = event.get(field[1]).toString();
      usage.tool = event.get(field[2]).toString();
      usage.model = event.get(field[3]).toString();
      usage.at_ms = (long) event.get(field[4]) / 1000;
      for (int i = 5; i < 10; i++) usage.tokens += (long) event.get(field[i]);
      usage.output_tokens = (long) event.get(field[9]);
      usage.cost_micro_usd = event.get(field[10]) == null ? 0 : (long) event.get(field[10]);
      long count = read.incrementAndGet();
      if (count == 1 || count % (records / 100) == 0 && count < records) System.out.printf("{\"records\": %d}%n", count);
      return usage;
    }
  }

  /** Running totals of a line; they leave with the watermark that ends the topic. */
  public static final class RunningTotals extends KeyedProcessFunction<Tuple4<String, String, String, String>, Usage, Totals>
      implements BoundedOneInput {
    private transient ValueState<Totals> state;

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("totals", TypeInformation.of(Totals.class)));
    }

    @Override
    public void processElement(Usage event, Context context, Collector<Totals> out) throws Exception {
      var totals = state.value();
      if (totals == null) {
        totals = new Totals();
        context.timerService().registerEventTimeTimer(Long.MAX_VALUE);
      }
      totals.add(event);
      state.update(totals);
    }

    @Override
    public void onTimer(long at, OnTimerContext context, Collector<Totals> out) throws Exception {
      lines.add(state.value());
      out.collect(state.value());
    }

    @Override
    public void endInput() {
      closed();
    }
  }

  public static final class Sum implements AggregateFunction<Usage, Totals, Totals> {
    @Override
    public Totals createAccumulator() {
      return new Totals();
    }

    @Override
    public Totals add(Usage event, Totals totals) {
      totals.add(event);
      return totals;
    }

    @Override
    public Totals getResult(Totals totals) {
      return totals;
    }

    @Override
    public Totals merge(Totals a, Totals b) {
      throw new UnsupportedOperationException("tumbling windows do not merge");
    }
  }

  public static final class PaneTotals extends ProcessWindowFunction<Totals, Totals, Tuple3<String, String, String>, TimeWindow> {
    @Override
    public void process(Tuple3<String, String, String> key, Context context, Iterable<Totals> totals, Collector<Totals> out) {
      for (var total : totals) {
        panes.add(total);
        out.collect(total);
      }
    }
  }
}
