import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.util.Collector;

/**
 * The peers' job on Flink: BOOTSTRAP TOPIC RECORDS SCHEMA. Totals leave their state at the end of the bounded topic and are counted there.
 *
 * Panes are keyed by their start instead of windowed: the window operator with composite keys makes the same sums at three quarters of the speed.
 */
public final class Job {
  static final long PANE_US = 300_000_000;

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
    var usage = env.fromSource(source, WatermarkStrategy.noWatermarks(), "usage");
    usage
        .filter(event -> event.item != null)
        .map(event -> event.to(event.item + "\t" + event.group), Types.POJO(Keyed.class))
        .keyBy(event -> event.key)
        .process(new RunningTotals(true))
        .sinkTo(new DiscardingSink<>());
    usage
        .map(event -> event.to(event.group + "\t" + event.at_us / PANE_US), Types.POJO(Keyed.class))
        .keyBy(event -> event.key)
        .process(new RunningTotals(false))
        .sinkTo(new DiscardingSink<>());
    env.execute();
    System.out.printf(
        "{\"records\": %d, \"tokens\": %d, \"lines\": %d, \"panes\": %d, \"line_tokens\": %d, \"pane_tokens\": %d}%n",
        panes.events, panes.tokens, lines.keys, panes.keys, lines.tokens, panes.tokens);
    System.exit(0);
  }

  /** What the totals need of an event; `group`: team, tool and model. Stays within the task of the source. */
  public static final class Usage {
    public String item, group;
    public long at_us;
    public Keyed measures = new Keyed();

    Keyed to(String key) {
      measures.key = key;
      return measures;
    }
  }

  /** What goes to the task of a key. A POJO to Flink. */
  public static final class Keyed {
    public String key;
    public long tokens, output_tokens, cost_micro_usd;
  }

  /** A POJO to Flink. */
  public static final class Totals {
    public long events, tokens, output_tokens, cost_micro_usd;
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

  public static final class UsageDecoder extends AbstractDeserializationSchema<Usage> {
    private final String schema;
    private transient GenericDatumReader<GenericRecord> reader;
    private transient GenericRecord event;
    private transient BinaryDecoder bytes;
    private transient int[] field;
    private transient Usage usage;

    public UsageDecoder(String schema) {
      super(Usage.class);
      this.schema = schema;
    }

    @Override
    public void open(InitializationContext context) {
      var parsed = new Schema.Parser().parse(schema);
      reader = new GenericDatumReader<>(parsed);
      field =
          Stream.of(
                  "work_item_id", "team", "tool", "model", "occurred_at", "input_tokens", "cache_read_tokens",
                  "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "cost_micro_usd")
              .mapToInt(name -> parsed.getField(name).pos())
              .toArray();
      usage = new Usage();
    }

    @Override
    public Usage deserialize(byte[] value) throws IOException {
      bytes = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, bytes);
      event = reader.read(event, bytes);
      usage.item = event.get(field[0]) == null ? null : event.get(field[0]).toString();
      usage.group = event.get(field[1]) + "\t" + event.get(field[2]) + "\t" + event.get(field[3]);
      usage.at_us = (long) event.get(field[4]);
      usage.measures.tokens = 0;
      for (int i = 5; i < 10; i++) usage.measures.tokens += (long) event.get(field[i]);
      usage.measures.output_tokens = (long) event.get(field[9]);
      usage.measures.cost_micro_usd = event.get(field[10]) == null ? 0 : (long) event.get(field[10]);
      long count = read.incrementAndGet();
      if (count == 1 || count % (records / 100) == 0 && count < records) System.out.printf("{\"records\": %d}%n", count);
      return usage;
    }
  }

  /** Running totals per key; they leave with the watermark that ends the topic. */
  public static final class RunningTotals extends KeyedProcessFunction<String, Keyed, Totals> implements BoundedOneInput {
    private final boolean of_lines;
    private transient ValueState<Totals> state;

    RunningTotals(boolean of_lines) {
      this.of_lines = of_lines;
    }

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("totals", TypeInformation.of(Totals.class)));
    }

    @Override
    public void processElement(Keyed event, Context context, Collector<Totals> out) throws Exception {
      var totals = state.value();
      if (totals == null) {
        totals = new Totals();
        context.timerService().registerEventTimeTimer(Long.MAX_VALUE);
      }
      totals.events++;
      totals.tokens += event.tokens;
      totals.output_tokens += event.output_tokens;
      totals.cost_micro_usd += event.cost_micro_usd;
      state.update(totals);
    }

    @Override
    public void onTimer(long at, OnTimerContext context, Collector<Totals> out) throws Exception {
      (of_lines ? lines : panes).add(state.value());
      out.collect(state.value());
    }

    @Override
    public void endInput() {
      if (open.decrementAndGet() == 0) System.out.printf("{\"records\": %d}%n", records);
    }
  }
}
