// An $alu of at most SMALL_ADDER_WIDTH result bits becomes ripple-carry logic for the LUTs.
//
// The start of a carry chain costs as much as a short adder saves, and Yosys' own expansion of
// an $alu outside a chain is a lookahead adder, which is larger.

(* techmap_celltype = "$alu" *)
module _70_small_adders_alu (A, B, CI, BI, X, Y, CO);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] X, Y;
	input CI, BI;
	(* force_downto *) output [Y_WIDTH-1:0] CO;

	wire _TECHMAP_FAIL_ = Y_WIDTH > `SMALL_ADDER_WIDTH;

	(* force_downto *) wire [Y_WIDTH-1:0] a, b;
	\$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
	\$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));

	(* force_downto *) wire [Y_WIDTH-1:0] addend = b ^ {Y_WIDTH{BI}};
	(* force_downto *) wire [Y_WIDTH:0] carry = {CO, CI};

	genvar i;
	generate for (i = 0; i < Y_WIDTH; i = i + 1) begin:bits
		assign CO[i] = (a[i] & addend[i]) | (carry[i] & (a[i] | addend[i]));
	end endgenerate

	assign X = a ^ addend;
	assign Y = X ^ carry[Y_WIDTH-1:0];
endmodule
