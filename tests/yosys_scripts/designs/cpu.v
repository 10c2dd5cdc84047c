// A small processor: state machine, registers in a memory, program and data in another.
module cpu (
	input clk, rst, hold,
	input [15:0] bus,
	output reg [15:0] result,
	output [7:0] address,
	output reg strobe
);
	localparam FETCH = 0, DECODE = 1, READ = 2, EXECUTE = 3, STORE = 4;
	reg [15:0] memory [0:511];
	reg [15:0] registers [0:7];
	reg [2:0] state;
	reg [7:0] pc;
	reg [15:0] word, a, b, value;
	reg [8:0] where;
	reg write;
	integer i;

	initial begin
		for (i = 0; i < 512; i = i + 1) memory[i] = i * 40503 + (i << 7);
		for (i = 0; i < 8; i = i + 1) registers[i] = 0;
	end

	wire [3:0] operation = word[15:12];
	always @(posedge clk) if (!hold) begin
		if (write) memory[where] <= value;
		word <= memory[where];
	end

	assign address = pc;
	always @(posedge clk)
		if (rst) begin
			state <= FETCH; pc <= 0; write <= 0; strobe <= 0; result <= 0; where <= 0;
		end else if (!hold) begin
			strobe <= 0;
			write <= 0;
			case (state)
				FETCH: begin where <= {1'b0, pc}; state <= DECODE; end
				DECODE: begin pc <= pc + 1; state <= READ; end
				READ: begin a <= registers[word[11:9]]; b <= registers[word[8:6]]; state <= EXECUTE; end
				EXECUTE: begin
					case (operation)
						0: value <= a + b;
						1: value <= a - b;
						2: value <= a & b;
						3: value <= a ^ b;
						4: value <= a << b[3:0];
						5: value <= $signed(a) >>> b[3:0];
						6: value <= a[7:0] * b[7:0];
						7: value <= a < b;
						8: value <= {a[14:0], bus[0]};
						9: if (a == b) pc <= pc + {{2{word[5]}}, word[5:0]};
						10: value <= bus + {10'd0, word[5:0]};
						default: value <= {a[7:0], word[7:0]};
					endcase
					state <= STORE;
				end
				STORE: begin
					registers[word[5:3]] <= value;
					if (operation[3]) begin where <= {1'b1, a[7:0]}; write <= 1; end
					result <= value;
					strobe <= 1;
					state <= FETCH;
				end
				default: state <= FETCH;
			endcase
		end
endmodule
